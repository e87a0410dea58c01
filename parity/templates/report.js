"use strict";
(() => {
  const form = document.getElementById("filter");
  const folded = [...document.querySelectorAll("details")];
  let before = [];
  addEventListener("beforeprint", () => { before = folded.map(d => d.open); folded.forEach(d => { d.open = true; }); });
  addEventListener("afterprint", () => { folded.forEach((d, i) => { d.open = before[i]; }); });
  if (!form) return;
  const section = document.getElementById("findings");
  const tables = [...section.querySelectorAll("[data-table]")];
  const rows = tables.map(table => {
    let advice = null;
    const all = [];
    const title = table.querySelector("h3").textContent;
    for (const body of table.querySelectorAll("tbody")) {
      if (body.classList.contains("advice")) {
        advice = body;
        continue;
      }
      if (!body.classList.contains("in")) advice = null;
      const text = (title + body.textContent + (advice ? advice.textContent : "")).toLowerCase();
      all.push({ body, advice, text, severity: body.dataset.severity, kind: body.dataset.kind, tiers: body.dataset.tiers.split("\n") });
    }
    return all;
  });
  const total = rows.reduce((n, r) => n + r.length, 0);
  const text = document.getElementById("text");
  const tier = document.getElementById("tier");
  const none = document.getElementById("none");
  const shown = document.getElementById("shown");
  const boxes = name => {
    const all = [...form.querySelectorAll(`input[name="${name}"]`)];
    return all.length === 0 || all.every(b => b.checked) ? null : new Set(all.filter(b => b.checked).map(b => b.value));
  };
  const apply = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const severity = boxes("severity"), kind = boxes("kind"), only = tier ? tier.value : "";
    let n = 0;
    rows.forEach((all, i) => {
      let here = 0;
      for (const r of all) if (r.advice) r.advice.hidden = true;
      for (const r of all) {
        const fits = (!severity || severity.has(r.severity)) && (!kind || kind.has(r.kind)) && (!only || r.tiers.includes(only)) &&
          words.every(w => r.text.includes(w));
        r.body.hidden = !fits;
        if (fits && r.advice) r.advice.hidden = false;
        if (fits) here++;
      }
      tables[i].hidden = here === 0;
      n += here;
    });
    none.hidden = n > 0;
    shown.textContent = n === total ? `all ${total} rows` : `${n} of ${total} rows`;
  };
  let waiting = 0;
  text.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); });
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", e => { e.preventDefault(); apply(); });
  const open = document.getElementById("open");
  open.addEventListener("click", () => {
    const inside = [...section.querySelectorAll("tbody:not([hidden]) details")];
    const to = inside.some(d => !d.open);
    inside.forEach(d => { d.open = to; });
    open.textContent = to ? "Close all details" : "Open all details";
  });
  form.hidden = false;
  apply();
})();
