"use strict";
// Without it all can be read as well; it only makes files quick to find.
for (const search of document.querySelectorAll(".search")) {
  const input = search.querySelector("input");
  const said = search.querySelector("output");
  const list = search.nextElementSibling;
  const SHOWN = 500;
  let files = null;
  let folders = null;
  search.hidden = false;
  let waiting = 0;
  const find = () => {
    // Of many files that takes a while, and most readers never search.
    files ??= [...list.querySelectorAll("li[data-path]")];
    folders ??= [...list.querySelectorAll("li > details")].map((one) => one.parentElement);
    const text = input.value.trim().toLowerCase();
    const found = text ? files.filter((one) => one.dataset.path.toLowerCase().includes(text)) : files;
    const kept = new Set(found.slice(0, text ? SHOWN : found.length));
    const above = new Set();
    for (const one of text ? kept : []) {
      for (let at = one.parentElement.closest("li"); at && !above.has(at); at = at.parentElement.closest("li")) above.add(at);
    }
    for (const one of files) one.hidden = !kept.has(one);
    for (const one of folders) {
      one.hidden = text !== "" && !above.has(one);
      one.firstElementChild.open = text !== "" && above.has(one);
    }
    said.textContent = text ? `${found.length} found${found.length > SHOWN ? `, the first ${SHOWN} are shown` : ""}` : "";
  };
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 80); });
}
