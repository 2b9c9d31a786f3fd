// Sends what the sliders say, and shows what comes back; of several answers only the last one counts.

const bench = document.getElementById("degradation");
const byId = (id) => document.getElementById(id);
const WAIT_MS = 120;
let asked = 0;
let waiting = 0;

function valueOf(control) {
  const { kind } = control.dataset;
  if (kind === "modes") return [...control.querySelectorAll("input:checked")].map((one) => one.value);
  if (kind === "list") return control.querySelector("input").value.split(",").map(Number);
  const numbers = [...control.querySelectorAll("input[data-end]")].map((one) => (one.value === "" ? null : Number(one.value)));
  return kind === "number" ? numbers[0] : numbers;
}

function values() {
  const found = {};
  for (const operation of bench.querySelectorAll("[data-operation]")) {
    if (!operation.querySelector("[data-use]").checked) continue;
    for (const control of operation.querySelectorAll("[data-path]")) found[control.dataset.path] = valueOf(control);
  }
  // A pass in which everything is switched off stays a pass.
  for (const control of bench.querySelectorAll("[data-path^=rounds]")) {
    const [, number, operation] = control.dataset.path.split("/");
    const isUsed = Object.keys(found).some((path) => path.startsWith(`rounds/${number}/`));
    if (!isUsed) found[`rounds/${number}/${operation}`] = null;
  }
  return found;
}

async function show() {
  asked += 1;
  const number = asked;
  const seed = byId("seed").value;
  const body = { face: bench.dataset.face, original: bench.dataset.original, name: byId("name").value, seed: seed === "" ? null : Number(seed), values: values() };
  let answer;
  try {
    const response = await fetch("/degradation/preview", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Token": document.querySelector('meta[name="token"]').content },
      body: JSON.stringify(body),
    });
    const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
    answer = isJson ? await response.json() : { error: (await response.text()).trim() };
  } catch {
    answer = { error: "facerefs explore does not answer: it has ended." };
  }
  if (number === asked) place(answer);
}

function place(answer) {
  const problem = byId("problem");
  problem.hidden = answer.error === undefined;
  problem.textContent = answer.error ?? "";
  byId("copy").disabled = !problem.hidden;
  if (!problem.hidden) return;
  for (const id of ["degraded", "difference", "file"]) byId(id).src = answer[id];
  const psnr = answer.psnr === null ? "no difference" : `PSNR ${answer.psnr.toFixed(2)} dB`;
  byId("figures").textContent =
    `${psnr}, SSIM ${answer.ssim.toFixed(4)}; ${answer.size_px} x ${answer.size_px} px, ${answer.format.toUpperCase()} of ${answer.bytes.toLocaleString("en")} bytes`;
  byId("words").textContent = answer.words;
  byId("theta").textContent = JSON.stringify(answer.theta, null, 1);
  byId("yaml").textContent = answer.yaml;
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(show, WAIT_MS);
}

if (bench !== null) {
  bench.addEventListener("input", (event) => {
    const { target } = event;
    if (target.id === "recipe") {
      location.search = new URLSearchParams({ recipe: target.value, face: bench.dataset.face });
      return;
    }
    if (target.type === "range") target.nextElementSibling.value = target.value;
    else if (target.dataset.end !== undefined) target.previousElementSibling.value = target.value;
    if (target.dataset.use !== undefined) {
      target.closest("[data-operation]").querySelector(".controls").hidden = !target.checked;
    }
    soon();
  });
  bench.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  byId("next").addEventListener("click", () => {
    byId("seed").value = Number(byId("seed").value) + 1;
    soon();
  });
  byId("copy").addEventListener("click", async () => {
    const yaml = byId("yaml");
    try {
      await navigator.clipboard.writeText(yaml.textContent);
      byId("announcement").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(yaml);
      byId("announcement").textContent = "The browser does not let a page copy: the YAML is selected, press Ctrl+C.";
    }
  });
  show();
}
