"use strict";
{
  const form = document.getElementById("filters");
  const rows = [...document.querySelectorAll("tr.result")];
  const output = form.querySelector("output");

  /** Show the rows that the filters ask for, and hide what is left empty by that. */
  const filter = () => {
    const asked = new FormData(form);
    const outcomes = asked.getAll("outcome");
    const words = asked.get("text").toLowerCase().split(/\s+/);
    const wanted = (data) =>
      outcomes.includes(data.outcome) &&
      ["subject", "family"].every((key) => ["", data[key]].includes(asked.get(key))) &&
      words.every((word) => data.text.toLowerCase().includes(word));
    for (const row of rows) row.hidden = !wanted(row.dataset);
    for (const part of document.querySelectorAll("details.family, section.subject"))
      part.hidden = !part.querySelector("tr.result:not([hidden])");
    const shown = rows.filter((row) => !row.hidden).length;
    output.textContent = `${shown} of ${rows.length} shown`;
    if (shown < rows.length) for (const part of document.querySelectorAll("details.family:not([hidden])")) part.open = true;
  };

  /** Keep the filters in the address, so that it can be passed on. */
  const remember = () => history.replaceState(null, "", `#?${new URLSearchParams(new FormData(form))}`);

  /** Set the filters as the address has them. */
  const recall = () => {
    const asked = new URLSearchParams(location.hash.slice(2));
    for (const field of form.elements)
      if (field.type === "checkbox") field.checked = asked.getAll(field.name).includes(field.value);
      else if (field.name) field.value = asked.get(field.name) ?? "";
    filter();
  };

  /** Do what the address's # says: set filters, or open whatever it is inside of, and go there. */
  const follow = () => {
    if (location.hash.startsWith("#?")) return recall();
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.closest("[hidden]")) form.reset();
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    target.scrollIntoView({ block: "center" });
    if (target.matches("tr")) target.focus({ preventScroll: true });
  };

  form.hidden = false;
  form.addEventListener("input", () => (filter(), remember()));
  form.addEventListener("reset", () => setTimeout(filter));
  form.querySelector("button").addEventListener("click", () => history.replaceState(null, "", "#"));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);
  filter();
  follow();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("#failures details:not([open]), details.family:not([open])")];
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => closed.forEach((part) => (part.open = false)));
}
