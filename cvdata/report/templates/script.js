"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  prefersDark.addEventListener("change", label);
  label();
  button.hidden = false;

  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 1080px)");
  const fold = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) contents.open = false;
  });

  const links = new Map();
  for (const link of contents.querySelectorAll("a")) links.set(link.hash.slice(1), link);
  const seen = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) seen.add(entry.target); else seen.delete(entry.target);
    }
    const first = [...seen].sort((a, b) => a.offsetTop - b.offsetTop)[0];
    for (const [anchor, link] of links) {
      if (first && anchor === first.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-10% 0px -55% 0px" });
  for (const section of document.querySelectorAll("main > section")) watch.observe(section);

  const { downloads } = JSON.parse(document.getElementById("data").textContent);
  for (const one of document.querySelectorAll("button[data-download]")) {
    const file = one.dataset.download;
    if (!(file in downloads)) continue;
    one.hidden = false;
    one.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([downloads[file]], { type: "text/csv" }));
      link.download = file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("main details:not([open])")) {
      if (!one.closest(".plot")) { one.open = true; opened.push(one); }
    }
  });
  addEventListener("afterprint", () => { for (const one of opened.splice(0)) one.open = false; });
})();
