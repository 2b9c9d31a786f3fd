// Filters in large galleries, a lightbox, and links between the places that show the same photo. Without it the page
// is whole, but longer.
"use strict";

const LARGE = 9; // items of a section from which on it has a filter
const ITEMS = {
  funnel: ".reasons > li",
  samples: ".samples > *",
  people: ".people > *",
  labels: ".cases > *, .merges > *",
  review: ".doubts > *",
  duplicates: ".groups > *",
  references: ".targets > *",
};
const MARKS = { funnel: ".reasons code" };

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

// What a node says, without the links to other places.
function textOf(node) {
  const copy = node.cloneNode(true);
  for (const links of copy.querySelectorAll(".elsewhere")) links.remove();
  return copy.textContent.replace(/\s+/g, " ").trim();
}

// Filters: a text in names, keys and reasons, and the badges that occur. Returns what shows all items again.
function addFilter(section, items) {
  const textOfItem = new Map();
  const marksOf = new Map();
  for (const item of items) {
    const pictures = [...item.querySelectorAll("img, .missing")].map((one) => one.getAttribute("alt") ?? one.getAttribute("aria-label"));
    textOfItem.set(item, [textOf(item), ...pictures].join(" ").toLocaleLowerCase());
    const marks = item.querySelectorAll(MARKS[section.id] ?? ".badge:not(.rank)");
    marksOf.set(item, new Set([...marks].map((mark) => mark.textContent.replace(/^[\d,]+ /, ""))));
  }
  const marks = [...new Set(items.flatMap((item) => [...marksOf.get(item)]))];
  const telling = marks.filter((mark) => items.some((item) => !marksOf.get(item).has(mark)));
  const search = element("input", { type: "search", id: `${section.id}-filter`, placeholder: "name, key, reason" });
  const choice = element("select", { ariaLabel: "Only those marked" }, element("option", { value: "", textContent: "all" }));
  choice.append(...telling.sort().map((mark) => element("option", { value: mark, textContent: mark })));
  const count = element("output", { className: "quiet" });
  count.setAttribute("aria-live", "polite");
  const show = () => {
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const fits = words.every((word) => textOfItem.get(item).includes(word)) && (!choice.value || marksOf.get(item).has(choice.value));
      item.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of the ${items.length} shown here`;
  };
  search.addEventListener("input", show);
  choice.addEventListener("input", show);
  show();
  const bar = element("div", { className: "filter" }, element("label", { htmlFor: search.id, textContent: "Filter" }), search);
  if (telling.length) bar.append(choice);
  bar.append(count);
  section.querySelector(":scope > .lead").after(bar);
  return () => {
    search.value = choice.value = "";
    show();
  };
}

const showAll = new Map();
for (const [id, selector] of Object.entries(ITEMS)) {
  const section = document.getElementById(id);
  const items = [...(section?.querySelectorAll(selector) ?? [])];
  if (items.length >= LARGE) showAll.set(section, addFilter(section, items));
}

// A link into the page leads to its place also if a filter hides it.
function uncover(node) {
  if (node?.closest("[hidden]")) showAll.get(node.closest("section"))?.();
}
document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.('a[href^="#"]');
  if (anchor) uncover(document.getElementById(anchor.hash.slice(1)));
});

// The lightbox: a picture larger, with its words, and the other places of the same photo.
const pictures = [...document.querySelectorAll("img[data-size]")];
const placesOf = new Map();
for (const picture of pictures.filter((one) => one.dataset.of)) {
  placesOf.set(picture.dataset.of, [...(placesOf.get(picture.dataset.of) ?? []), picture]);
}
const large = element("img", { alt: "" });
const words = element("div", { className: "words" });
const places = element("ul", { className: "places" });
const previous = element("button", { type: "button", textContent: "‹", ariaLabel: "Previous picture" });
const next = element("button", { type: "button", textContent: "›", ariaLabel: "Next picture" });
const close = element("button", { type: "button", textContent: "×", ariaLabel: "Close" });
const lightbox = element("dialog", { className: "lightbox", ariaLabel: "Picture" }, element("p", { className: "steps" }, previous, next, close), large, words, places);
document.body.append(lightbox);
let opened = null;

function sectionOf(picture) {
  return picture.closest("section")?.querySelector("h2")?.textContent ?? "";
}

function open(picture) {
  opened = picture;
  large.src = picture.src;
  large.alt = picture.alt;
  const caption = picture.closest("figure")?.querySelector("figcaption");
  const size = `shown with ${picture.naturalWidth} × ${picture.naturalHeight} px, of ${picture.dataset.size} px`;
  words.replaceChildren(...[picture.alt, caption && textOf(caption), size].filter(Boolean).map((text) => element("p", { textContent: text })));
  const others = (placesOf.get(picture.dataset.of) ?? []).filter((one) => one !== picture);
  places.replaceChildren(...others.map((one) => element("li", {}, linkTo(one))));
  if (!lightbox.open) lightbox.showModal();
}

function linkTo(picture) {
  const button = element("button", { type: "button", textContent: `${sectionOf(picture)}: ${picture.alt}` });
  button.addEventListener("click", () => {
    opened = picture; // which takes the focus, when the lightbox has closed
    uncover(picture);
    lightbox.close();
    picture.classList.add("found");
    setTimeout(() => picture.classList.remove("found"), 3000);
  });
  return button;
}

function step(by) {
  const around = pictures.filter((one) => one.closest("section") === opened.closest("section") && one.checkVisibility());
  open(around[(around.indexOf(opened) + by + around.length) % around.length]);
}

for (const picture of pictures) {
  picture.tabIndex = 0;
  picture.setAttribute("role", "button");
  picture.addEventListener("click", () => open(picture));
  picture.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open(picture);
  });
}
previous.addEventListener("click", () => step(-1));
next.addEventListener("click", () => step(1));
close.addEventListener("click", () => lightbox.close());
lightbox.addEventListener("click", (event) => {
  if (event.target === lightbox) lightbox.close();
});
lightbox.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
});
lightbox.addEventListener("close", () => {
  opened.focus({ preventScroll: true });
  opened.scrollIntoView({ block: "nearest" });
});
