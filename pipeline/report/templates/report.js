// Filters in large galleries, a lightbox, and links between the places that show the same photo. Without it the page
// is whole, but longer.
"use strict";

const LARGE = 9; // items from which on a gallery gets filters
const GALLERIES = ".samples, .people, .cases, .merges, .doubts, .groups, .targets, .examples";

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

// Filters: a text, and the badges that occur.
function addFilters(gallery, number) {
  const items = [...gallery.children];
  const badgesOf = new Map(items.map((item) => [item, new Set([...item.querySelectorAll(".badge")].map((badge) => badge.textContent.replace(/^[\d,]+ /, "")))]));
  const badges = [...new Set(items.flatMap((item) => [...badgesOf.get(item)]))].filter((badge) => items.some((item) => !badgesOf.get(item).has(badge)));
  const search = element("input", { type: "search", id: `filter-${number}`, placeholder: "name, key, reason" });
  const choice = element("select", { ariaLabel: "Only those marked" }, element("option", { value: "", textContent: "all" }));
  for (const badge of badges.sort()) choice.append(element("option", { value: badge, textContent: badge }));
  const count = element("output", { className: "quiet" });
  count.setAttribute("aria-live", "polite");
  const show = () => {
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const text = item.textContent.toLocaleLowerCase();
      const fits = words.every((word) => text.includes(word)) && (!choice.value || badgesOf.get(item).has(choice.value));
      item.hidden = !fits;
      shown += fits;
    }
    count.textContent = shown === items.length ? "" : `${shown} of the ${items.length} shown here`;
  };
  search.addEventListener("input", show);
  choice.addEventListener("input", show);
  const label = element("label", { htmlFor: search.id, textContent: "Filter" });
  const bar = element("div", { className: "filter" }, label, search);
  if (badges.length > 1) bar.append(choice);
  bar.append(count);
  gallery.before(bar);
}

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
  const caption = picture.closest("figure")?.querySelector("figcaption")?.innerText.trim() ?? "";
  const size = `shown with ${picture.naturalWidth} × ${picture.naturalHeight} px, of ${picture.dataset.size} px`;
  words.replaceChildren(...[picture.alt, caption, size].filter(Boolean).map((text) => element("p", { textContent: text })));
  const others = (placesOf.get(picture.dataset.of) ?? []).filter((one) => one !== picture);
  places.replaceChildren(...others.map((one) => element("li", {}, linkTo(one))));
  if (!lightbox.open) lightbox.showModal();
}

function linkTo(picture) {
  const button = element("button", { type: "button", textContent: `${sectionOf(picture)}: ${picture.alt}` });
  button.addEventListener("click", () => {
    lightbox.close();
    for (let item = picture; item !== document.body; item = item.parentElement) item.hidden = false;
    picture.scrollIntoView({ block: "center" });
    picture.focus();
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
lightbox.addEventListener("close", () => opened?.focus());

[...document.querySelectorAll(GALLERIES)].filter((one) => one.children.length >= LARGE).forEach(addFilters);
