// The recording: from a signed address behind `#audio=`, or a file that the person picks. Nothing is sent anywhere.

const audio = element("audio", { preload: "metadata" });
const playButton = element("button", { type: "button", textContent: "Play", title: "Play or pause (space)" });
const position = element("output", { textContent: `00:00:00 / ${clock(durationMs)}` });
const speed = element("select", { title: "Speed" });
const strip = element("canvas", { tabIndex: 0 });
const hint = element("span", { className: "hint" });
const picker = element("input", { type: "file", accept: "audio/*,video/*" });
let waitingMs = 0;
let lastScrolled = 0;

speed.setAttribute("aria-label", "Speed");
for (const times of [0.5, 0.75, 1, 1.25, 1.5, 2, 3]) speed.append(new Option(`${times} x`, times, times === 1, times === 1));
strip.setAttribute("role", "slider");
strip.setAttribute("aria-label", "Position in the recording");
strip.title = about.loudness ? "Loudness; gaps in red" : "How much is said; gaps in red";
strip.setAttribute("aria-valuemin", "0");
strip.setAttribute("aria-valuemax", String(Math.round(durationMs / 1000)));

const chooser = element("label", { className: "file" }, "Choose the recording…", picker);
const player = element("div", {}, playButton, position, speed, chooser, hint, strip);
document.body.append(element("section", { className: "player", ariaLabel: "Player" }, player, audio));

function positionMs() {
  return audio.src ? audio.currentTime * 1000 : waitingMs;
}

function loadAudio(address, why) {
  audio.src = address;
  audio.currentTime = waitingMs / 1000;
  hint.textContent = why;
}

/** Only what the page's policy allows, too: https, and plain http from this machine. */
function addressInHash() {
  const given = new URLSearchParams(location.hash.slice(1)).get("audio");
  if (!given) return null;
  try {
    const url = new URL(given);
    const isLocal = ["127.0.0.1", "localhost"].includes(url.hostname);
    return url.protocol === "https:" || (url.protocol === "http:" && isLocal) ? url.href : null;
  } catch {
    return null;
  }
}

function seek(ms) {
  waitingMs = Math.max(0, Math.min(durationMs, ms));
  if (audio.src) audio.currentTime = waitingMs / 1000;
  else hint.textContent = "Choose the recording to hear it from here.";
  showPosition();
}

function play() {
  if (!audio.src) picker.click();
  else audio.play().catch((error) => (hint.textContent = `The recording cannot be played here (${error.message}).`));
}

function togglePlaying() {
  if (audio.src && !audio.paused) audio.pause();
  else play();
}

function showPosition() {
  const ms = positionMs();
  position.textContent = `${clock(ms)} / ${clock(durationMs)}`;
  strip.setAttribute("aria-valuenow", String(Math.round(ms / 1000)));
  strip.setAttribute("aria-valuetext", clock(ms));
  const changed = lightWordsAt(ms);
  if (changed && !audio.paused && Date.now() - lastScrolled > 4000) follow();
  drawStrip();
}

/** Keep what sounds in sight, unless the person is reading elsewhere. */
function follow() {
  const block = blockOfWord[nowWords[0]];
  if (block < 0) return;
  const box = paragraphs[block].getBoundingClientRect();
  if (box.top < 60 || box.bottom > innerHeight - 140) paragraphs[block].scrollIntoView({ block: "center" });
}

const DRAWN_DB = 36; // below the loudest second, which is as high as the strip

/** Height, 0 to 1, of each of `columns` bars: how loud it is, or how much is said in it where nobody measured that. */
function barHeights(columns) {
  return about.loudness && about.loudness.length ? loudnessHeights(columns) : speechHeights(columns);
}

function loudnessHeights(columns) {
  const loudest = about.loudness.reduce((most, level) => Math.max(most, level), data.quietest);
  const width = durationMs / 1000 / columns;
  return Float32Array.from({ length: columns }, (_, column) => {
    const first = Math.floor(column * width);
    const seconds = about.loudness.slice(first, Math.max(first + 1, Math.ceil((column + 1) * width)));
    const level = seconds.reduce((most, one) => Math.max(most, one), data.quietest);
    return level > data.quietest ? Math.max(0, 1 - (loudest - level) / DRAWN_DB) : 0;
  });
}

function speechHeights(columns) {
  const heights = new Float32Array(columns);
  const width = durationMs / columns;
  for (let word = 0; word < starts.length; word++) {
    for (let at = Math.floor(starts[word] / width); at < columns && at * width < ends[word]; at++) {
      heights[at] += (Math.min(ends[word], (at + 1) * width) - Math.max(starts[word], at * width)) / width;
    }
  }
  return heights.map((height) => Math.min(1, height));
}

let still = null;

/** The strip without its position, drawn once for a width and colour scheme. */
function stillStrip(width, height) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const key = [width, height, colour("--wave")].join();
  if (still && still.key === key) return still.canvas;
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  const bars = Math.max(1, Math.floor(width / 3));
  context.fillStyle = colour("--wave");
  barHeights(bars).forEach((bar, at) => {
    const tall = Math.max(1, bar * (height - 4));
    context.fillRect((at * width) / bars, (height - tall) / 2, Math.max(1, width / bars - 1), tall);
  });
  context.fillStyle = colour("--gap");
  for (const gap of gaps) {
    const from = ((gap.start * 1000) / durationMs) * width;
    context.fillRect(from, 0, Math.max(2, (((gap.end - gap.start) * 1000) / durationMs) * width), height);
  }
  still = { key, canvas };
  return canvas;
}

function drawStrip() {
  const width = Math.round(strip.clientWidth * devicePixelRatio);
  const height = Math.round(strip.clientHeight * devicePixelRatio);
  if (!width || !height || !durationMs) return;
  if (strip.width !== width || strip.height !== height) Object.assign(strip, { width, height });
  const context = strip.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.drawImage(stillStrip(width, height), 0, 0);
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  context.fillRect((positionMs() / durationMs) * width - devicePixelRatio, 0, 2 * devicePixelRatio, height);
}

function seekByPointer(event) {
  seek(((event.clientX - strip.getBoundingClientRect().left) / strip.clientWidth) * durationMs);
}

function everyFrame() {
  showPosition();
  if (!audio.paused) requestAnimationFrame(everyFrame);
}

picker.addEventListener("change", () => {
  const [file] = picker.files;
  if (file) loadAudio(URL.createObjectURL(file), file.name);
});
playButton.addEventListener("click", togglePlaying);
speed.addEventListener("change", () => (audio.playbackRate = Number(speed.value)));
strip.addEventListener("pointerdown", (event) => {
  strip.setPointerCapture(event.pointerId);
  seekByPointer(event);
});
strip.addEventListener("pointermove", (event) => event.buttons && seekByPointer(event));
audio.addEventListener("play", () => {
  playButton.textContent = "Pause";
  everyFrame();
});
audio.addEventListener("pause", () => (playButton.textContent = "Play"));
audio.addEventListener("seeked", showPosition);
audio.addEventListener("error", () => (hint.textContent = "The recording cannot be read by this browser."));
for (const name of ["wheel", "touchmove"]) addEventListener(name, () => (lastScrolled = Date.now()), { passive: true });
addEventListener("resize", drawStrip);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawStrip);
