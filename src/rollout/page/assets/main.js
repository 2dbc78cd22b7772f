// Unpacks the chart library, then draws.

async function unpackLibrary() {
  const packed = Uint8Array.from(atob($("library").textContent), (character) => character.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = element("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}

document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

unpackLibrary().then(() => {
  setUpControls();
  shown.range = whole();
  drawAll();
  move("all");
  document.documentElement.dataset.drawn = "yes";
}).catch((error) => {
  console.error(error);
  $("trouble").hidden = false;
  $("trouble").textContent = "The charts cannot be drawn in this browser (" + error.message + "). Every number is in the tables below.";
});
