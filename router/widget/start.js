// Makes the widget work from this one file, also where the page forbids inline styles and
// workers of blobs: the styles are a constructed sheet, and the worker is this file again,
// which then runs as one.
(function () {
  "use strict";

  var script = document.currentScript || Array.from(document.scripts).find(function (s) {
    return /\/challenge\/pow\.js([?#]|$)/.test(s.src); // a module has no currentScript
  });
  var source = new URL(script && script.src || "/challenge/pow.js", location.href);

  // Browsers start no worker of another origin, but a worker may import its script.
  if (source.origin !== location.origin) {
    source = URL.createObjectURL(new Blob(["importScripts(" + JSON.stringify(source.href) + ")"], { type: "text/javascript" }));
  }
  ["SHA-256", "SHA-384", "SHA-512"].forEach(function (hash) {
    globalThis.$altcha.algorithms.set("PBKDF2/" + hash, function () { return new Worker(source); });
  });

  try {
    var sheet = new CSSStyleSheet();
    sheet.replaceSync(altchaStyles);
    document.adoptedStyleSheets = Array.from(document.adoptedStyleSheets).concat(sheet);
  } catch (_) { // an old browser
    var style = document.createElement("style");
    style.textContent = altchaStyles;
    document.head.appendChild(style);
  }
})();
