/* What the theme leaves out for those who use a keyboard or a screen reader. */
function complete() {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  /* A table that is wider than its window can be scrolled with the keyboard only if it can be focused. */
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (wrap.scrollWidth > wrap.clientWidth) wrap.tabIndex = 0;
    else wrap.removeAttribute("tabindex");
  }
}
complete();
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", complete);
