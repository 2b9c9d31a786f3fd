// The restoration bench: files stay in this page until they are sent; the result is shown and can be saved.

const token = document.querySelector('meta[name="token"]').content;
const at = (id) => document.getElementById(id);
const chosen = { photo: [], reference: [] };
const MOST_REFERENCES = Number(document.getElementById("bench").dataset.mostReferences);
const LABELS = ["Face", "Box", "Person", "Similarity", "Reference", "Result"];
let saved = null; // the address of the last result, given back before the next one

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function fault(text) {
  at("fault").hidden = !text;
  at("fault").textContent = text ? sentence(text) : "";
}

// ---------------------------------------------------------------- files

function add(field, files) {
  fault("");
  if (field === "photo") {
    if (files.length > 1) fault(`One photo is restored at a time: ${files[0].name} was taken, of ${files.length}`);
    chosen.photo = [...files].slice(0, 1);
  } else {
    chosen.reference.push(...files);
    if (chosen.reference.length > MOST_REFERENCES) {
      fault(`Up to ${MOST_REFERENCES} references are taken: ${chosen.reference.length - MOST_REFERENCES} were left out`);
      chosen.reference.length = MOST_REFERENCES;
    }
  }
  list(field);
}

function list(field) {
  at(`${field}-chosen`).replaceChildren(...chosen[field].map((file, place) => itemOf(field, file, place)));
}

function itemOf(field, file, place) {
  const address = URL.createObjectURL(file);
  const picture = made("img", { src: address, alt: "" });
  const free = () => URL.revokeObjectURL(address);
  picture.addEventListener("load", free);
  picture.addEventListener("error", free); // the server may read what the browser cannot show
  const remove = made("button", { type: "button", textContent: "Remove" });
  remove.setAttribute("aria-label", `Remove ${file.name}`);
  remove.addEventListener("click", () => {
    chosen[field].splice(place, 1);
    list(field);
    at(field).focus();
  });
  return made("li", {}, picture, made("bdi", { textContent: file.name }), made("br"), remove);
}

for (const drop of document.querySelectorAll(".drop")) {
  const field = drop.dataset.field;
  at(field).addEventListener("change", () => {
    if (at(field).files.length) add(field, at(field).files);
    at(field).value = ""; // so that the same file can be chosen again
  });
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("is-over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    if (event.dataTransfer.files.length) add(field, event.dataTransfer.files);
  });
}
// A file that misses its place would replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

// ---------------------------------------------------------------- the restoration

async function restore() {
  const form = new FormData();
  for (const name of ["run", "faces", "strength", "person"]) form.append(name, at(name).value);
  if (at("is_person").checked) form.append("is_person", "on");
  for (const [field, files] of Object.entries(chosen)) for (const file of files) form.append(field, file, file.name);
  const response = await fetch("/restore/photo", { method: "POST", headers: { "X-Token": token }, body: form });
  const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
  const answer = isJson ? await response.json() : { error: (await response.text()).trim() };
  if (response.ok) return answer;
  throw new Error(answer.error || `the server answered ${response.status}`);
}

at("bench").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!chosen.photo.length) {
    fault("There is no photo to restore: choose one");
    at("photo").focus();
    return;
  }
  fault("");
  at("go").disabled = true;
  at("status").textContent = "Restoring … the first time the model is loaded, which takes a while.";
  try {
    await show(await restore());
    at("status").textContent = "Done: the result is below.";
  } catch (error) {
    at("status").textContent = "";
    fault(error.message);
  } finally {
    at("go").disabled = false;
  }
});

async function show(answer) {
  at("before").src = answer.before;
  at("after").src = answer.after;
  if (saved) URL.revokeObjectURL(saved);
  saved = URL.createObjectURL(new Blob([Uint8Array.from(atob(answer.png), (one) => one.charCodeAt(0))], { type: "image/png" }));
  at("download").href = saved;
  at("download").download = answer.file;
  const shown = answer.is_smaller ? "; it is shown smaller, and saved whole" : "";
  at("photo-size").textContent = `The photo has ${answer.width} × ${answer.height} px${shown}.`;
  at("notes").replaceChildren(...answer.notes.map((text) => made("li", { textContent: sentence(text) })));
  at("pictures").replaceChildren(...answer.faces.filter((face) => face.restored).map(picturesOf));
  at("rows").replaceChildren(...answer.faces.map(rowOf));
  at("result").hidden = false;
  divide();
  await at("before").decode().catch(() => {}); // its height is known then
  at("result").scrollIntoView({ block: "start" });
}

function picturesOf(face) {
  const who = face.person === null ? "" : ` · ${face.person}`;
  const captions = { before: "before", reference_crop: "reference", restored: "after" };
  const figures = Object.entries(captions).map(([name, caption]) => {
    const picture = face[name]
      ? made("img", { className: "face", src: face[name], alt: `Face ${face.number}, ${caption}` })
      : made("span", { className: "face missing", textContent: "none" });
    return made("figure", {}, picture, made("figcaption", { textContent: caption }));
  });
  return made("div", { className: "card" }, made("h3", { textContent: `Face ${face.number}${who}` }), made("div", { className: "triptych" }, ...figures));
}

function rowOf(face) {
  const cosine = (value) => (value === null ? "–" : value.toFixed(3));
  const reference = face.reference === null ? "–" : `${face.reference}${face.reference_similarity === null ? "" : ` (${cosine(face.reference_similarity)})`}`;
  const result = made("td", { textContent: face.left === null ? "restored" : `left: ${face.left}` });
  for (const text of face.warnings) result.append(made("span", { className: "warned", textContent: sentence(text) }));
  const head = made("th", { scope: "row", textContent: String(face.number) });
  const cells = [face.box === null ? "–" : face.box.join(", "), face.person ?? "–", cosine(face.similarity), reference].map((text) => made("td", { textContent: text }));
  const all = [head, ...cells, result];
  all.forEach((cell, place) => { cell.dataset.label = LABELS[place]; }); // where the table is too narrow for its head
  return made("tr", {}, ...all);
}

// ---------------------------------------------------------------- before and after

function divide() {
  at("compare").style.setProperty("--at", `${at("divide").value}%`);
  at("divide").setAttribute("aria-valuetext", `before up to ${at("divide").value} percent, then after`);
}

at("divide").addEventListener("input", divide);
at("strength").addEventListener("input", () => { at("strength-shown").textContent = Number(at("strength").value).toFixed(2); });
