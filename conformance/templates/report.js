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

  /** Open whatever the address's # is inside of, and go there. */
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.closest("[hidden]")) form.reset();
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    target.scrollIntoView({ block: "center" });
    if (target.matches("tr")) target.focus({ preventScroll: true });
  };

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
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
