"use strict";
// Dark, light, or as the system is.

const at = (id) => document.getElementById(id);

const dark = window.matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try { theme = localStorage.getItem("sr_kd theme") || "auto"; } catch { /* no storage: the choice lasts as long as the page */ }
function applyTheme() {
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  at("theme").textContent = { auto: "\u25d0 Auto", light: "\u2600 Light", dark: "\u263e Dark" }[theme];
}
at("theme").addEventListener("click", () => {
  theme = { auto: "dark", dark: "light", light: "auto" }[theme];
  try { localStorage.setItem("sr_kd theme", theme); } catch { /* as above */ }
  applyTheme();
});
dark.addEventListener("change", applyTheme);
applyTheme();
