// Unpacks the chart library, then draws.

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unpackLibrary() {
  const packed = bytesOf($("library").textContent);
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = element("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}

document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

unpackLibrary().then(async () => {
  setUpControls();
  shown.range = whole();
  showRange();
  await drawOneByOne();
  document.documentElement.dataset.drawn = "yes";
}).catch((error) => {
  console.error(error);
  $("trouble").hidden = false;
  $("trouble").textContent = "The charts cannot be drawn in this browser (" + error.message + "). Every number is in the tables below.";
});
