// Decisions by mouse and keyboard: each is sent at once, and can be taken back.

const token = document.querySelector('meta[name="token"]').content;
const announcement = document.getElementById("announcement");
const MARK = "facerefs-mark";
const UNDO = "facerefs-undo";
const MOST_UNDO = 100;
const PAIR_DECISIONS = [
  { title: "Same person as", key: "s", decision: "same" },
  { title: "Not the person of", key: "f", decision: "different" },
  { title: "Same shot as", key: "c", decision: "copy" },
];

function stored(name, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function store(name, value) {
  sessionStorage.setItem(name, JSON.stringify(value));
}

function announce(text, isError = false) {
  announcement.textContent = text;
  announcement.classList.toggle("is-error", isError);
}

async function post(path, values) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Token": token },
      body: JSON.stringify(values),
    });
    const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
    const answer = isJson ? await response.json() : { error: (await response.text()).trim() };
    if (response.ok) return answer;
    announce(answer.error, true);
  } catch {
    announce("facerefs explore does not answer: it has ended, or the network is down.", true);
  }
  return null;
}

async function decide(card, { decision, what, other }) {
  const added = await post("/decisions/add", { decision, what, other, comment: "explore" });
  if (added === null) return;
  store(UNDO, [...stored(UNDO, []), added].slice(-MOST_UNDO));
  const list = card.querySelector(".decided");
  if (![...list.children].some((line) => line.dataset.text === added.text)) list.append(decidedLine(decision, added));
  announce(`${decision}: written to overrides.csv, line ${added.line}. The next build obeys. u takes it back.`);
}

function decidedLine(decision, { line, text }) {
  const item = document.createElement("li");
  item.className = "said";
  Object.assign(item.dataset, { line, text });
  const badge = document.createElement("span");
  badge.className = "badge unsure";
  badge.textContent = decision;
  const state = document.createElement("span");
  state.className = "detail";
  state.textContent = " waits for the next build ";
  const back = document.createElement("button");
  back.type = "button";
  back.className = "plain";
  back.dataset.remove = "";
  back.textContent = "take back";
  item.append(badge, state, back);
  return item;
}

async function remove(line, text) {
  const removed = await post("/decisions/remove", { line: String(line), text });
  if (removed === null) return;
  store(UNDO, stored(UNDO, []).filter((one) => one.text !== text));
  const gone = [...document.querySelectorAll(".said")].filter((one) => one.dataset.text === text);
  const focused = gone.some((one) => one.contains(document.activeElement));
  const card = gone[0]?.closest(".item");
  gone.forEach((one) => one.remove());
  if (focused && card) card.focus();
  announce(`Taken back: ${text}`);
}

function undo() {
  const last = stored(UNDO, []).at(-1);
  if (last === undefined) announce("There is nothing to take back.");
  else remove(last.line, last.text);
}

// A decision on two things: one is marked, then another card is chosen.
function mark(card) {
  const { subject, title } = card.dataset;
  const isMarked = stored(MARK, null)?.subject === subject;
  store(MARK, isMarked ? null : { subject, title });
  showMark();
  announce(isMarked ? "The mark is gone." : `Marked: ${title}. Now choose another card.`);
}

function showMark() {
  const marked = stored(MARK, null);
  for (const card of document.querySelectorAll(".item[data-subject]")) {
    const isMarked = marked !== null && card.dataset.subject === marked.subject;
    card.classList.toggle("is-marked", isMarked);
    card.querySelector("[data-mark]").setAttribute("aria-pressed", String(isMarked));
    const row = card.querySelector(".marked");
    row.hidden = marked === null || isMarked;
    row.replaceChildren(...(row.hidden ? [] : pairButtons(card.dataset.subject, marked)));
  }
}

function pairButtons(subject, marked) {
  return PAIR_DECISIONS.map(({ title, key, decision }) => {
    const button = document.createElement("button");
    button.type = "button";
    Object.assign(button.dataset, { decision, what: subject, other: marked.subject, key });
    button.setAttribute("aria-keyshortcuts", key);
    button.textContent = `${title} ${marked.title}`;
    return button;
  });
}

function move(card, key) {
  const cards = [...document.querySelectorAll(".items > .item")];
  const at = cards.indexOf(card);
  const row = cards.filter((one) => one.offsetTop === cards[0].offsetTop).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[key];
  cards[at + step]?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === null) return;
  const card = button.closest(".item");
  if ("decision" in button.dataset) decide(card, button.dataset);
  else if ("mark" in button.dataset) mark(card);
  else if ("remove" in button.dataset) {
    const line = button.closest(".said");
    remove(line.dataset.line, line.dataset.text);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const card = event.target.closest(".item");
  if (event.key === "/") {
    event.preventDefault();
    (document.getElementById("q") ?? document.getElementById("jump")).focus();
  } else if (event.key === "u") undo();
  else if (card !== null) onCardKey(event, card);
});

function onCardKey(event, card) {
  if (event.key.startsWith("Arrow")) {
    event.preventDefault();
    move(card, event.key);
  } else if (event.key === "Enter" && event.target === card) card.querySelector("a.open, .links a")?.click();
  else if (event.key === "m" && "subject" in card.dataset) mark(card);
  else card.querySelector(`button[data-key="${CSS.escape(event.key)}"]`)?.click();
}

// A changed checkbox or order is shown at once; empty fields stay out of the address.
const filters = document.querySelector("form.filters");
if (filters !== null) {
  filters.addEventListener("change", (event) => {
    if (event.target.matches('input[type="checkbox"], select')) filters.requestSubmit();
  });
  filters.addEventListener("submit", () => {
    for (const field of filters.elements) if (field.name && field.value === "") field.disabled = true;
  });
  addEventListener("pageshow", () => {
    for (const field of filters.elements) field.disabled = false;
  });
}

// On a narrow screen the filters would push the cards out of sight.
const filterBox = document.querySelector(".filterbox");
if (filterBox !== null && matchMedia("(max-width: 62rem)").matches) filterBox.open = false;

// A picture whose bytes are gone says so.
for (const picture of document.querySelectorAll('img[src^="/picture"]')) {
  const gone = () => {
    const text = document.createElement("span");
    text.className = "face missing detail";
    text.textContent = "gone or changed";
    picture.replaceWith(text);
  };
  if (picture.complete && picture.naturalWidth === 0) gone();
  else picture.addEventListener("error", gone, { once: true });
}

showMark();
