// Tabs by the ARIA pattern: arrow keys move, Home and End go to the ends, the address keeps the one that is open.

/** Makes the tabs of a tab list work; returns what opens one by its name. */
export function setUpTabs(list) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const name = (tab) => tab.id.replace(/^tab-/, "");

  function open(tab, focus = false) {
    for (const one of tabs) {
      const chosen = one === tab;
      one.setAttribute("aria-selected", String(chosen));
      one.tabIndex = chosen ? 0 : -1;
      document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
  }

  function choose(tab, focus = false) {
    open(tab, focus);
    history.replaceState(null, "", `#${name(tab)}`);
  }

  function openByAddress() {
    open(tabs.find((tab) => `#${name(tab)}` === location.hash) ?? tabs[0]);
  }

  const steps = { ArrowRight: (at) => at + 1, ArrowLeft: (at) => at - 1, Home: () => 0, End: () => tabs.length - 1 };
  list.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const at = tabs.indexOf(event.target.closest('[role="tab"]'));
    choose(tabs[(step(at) + tabs.length) % tabs.length], true);
  });
  for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
  window.addEventListener("hashchange", openByAddress);
  openByAddress();
}
