"use strict";
// A design that is followed is unfolded.
function unfold() {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (place instanceof HTMLDetailsElement) { place.open = true; place.scrollIntoView(); }
}
addEventListener("hashchange", unfold);
unfold();

// A heading that is selected sorts by its column, and again the other way round.
const table = document.getElementById("points");
table.tHead.addEventListener("click", event => {
  const head = event.target.closest("th");
  if (!head) return;
  const column = head.cellIndex, ascending = head.getAttribute("aria-sort") === "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const key = row => { const cell = row.cells[column]; return "sort" in cell.dataset ? Number(cell.dataset.sort) : cell.textContent; };
  const order = (a, b) => { const x = key(a), y = key(b); return x < y ? -1 : x > y ? 1 : 0; };
  const rows = [...table.tBodies[0].rows].sort(order);
  if (!ascending) rows.reverse();
  table.tBodies[0].append(...rows);
});

const only = document.getElementById("worthwhile");
only.addEventListener("change", () => document.body.classList.toggle("worthwhile", only.checked));
