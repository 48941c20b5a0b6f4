// How old the page is, by the reader's clock; beyond what it is good for, it says so in large letters.
"use strict";
const page = document.body.dataset;
const age = document.getElementById("age");
const old = document.getElementById("old");
const words = (seconds) =>
  seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.floor(seconds / 60)} min`
    : seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
const tick = () => {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(page.taken)) / 1000));
  age.textContent = `${words(seconds)} ago`;
  const isOld = seconds > Number(page.goodFor);
  old.hidden = !isOld;
  document.body.classList.toggle("is-old", isOld);
  document.getElementById("old-age").textContent = words(seconds);
};
tick();
setInterval(tick, 1000);
