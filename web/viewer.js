/* The preview of a label map: hovering tells class, confidence and winning phrase; a click isolates a class.

   Works on what llmseg/hovering.py writes: a preview, a map of numbered cells and a table.
   Not here: nodes and the host (llmseg.js). */

import { say } from "./words.js";

const UNKNOWN = "unknown"; // what hovering.py calls pixels of no class
const LEGEND_ROWS = 200; // more are counted
const DIMMED = 190; // of 255: how dark everything else becomes
const STYLE = `
.llmseg-viewer { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; overflow: hidden;
  box-sizing: border-box; font: 12px/1.35 sans-serif; color: var(--input-text, #ddd); }
.llmseg-stage { position: relative; flex: 1 1 120px; min-height: 80px; }
.llmseg-stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; cursor: crosshair; }
.llmseg-tip { position: absolute; z-index: 1; pointer-events: none; max-width: 90%; padding: 3px 7px; border-radius: 5px;
  background: rgba(18, 18, 20, .92); color: #f4f4f4; border: 1px solid rgba(255, 255, 255, .25); overflow-wrap: anywhere; }
.llmseg-tip b { font-weight: 600; } .llmseg-tip small { display: block; font-size: 11px; opacity: .85; }
.llmseg-legend { flex: 0 1 auto; max-height: 40%; overflow: auto; display: flex; flex-wrap: wrap; gap: 3px; align-content: flex-start; }
.llmseg-legend button, .llmseg-pager button { font: inherit; color: inherit; cursor: pointer; border-radius: 5px;
  border: 1px solid var(--border-color, #4e4e4e); background: var(--comfy-input-bg, #222); padding: 1px 6px 1px 4px;
  display: flex; align-items: center; gap: 5px; max-width: 100%; }
.llmseg-legend button:hover, .llmseg-pager button:hover { border-color: currentColor; }
.llmseg-legend button[aria-pressed="true"] { border-color: currentColor; box-shadow: inset 0 0 0 1px currentColor; }
.llmseg-legend.llmseg-isolating button[aria-pressed="false"] { opacity: .5; }
.llmseg-legend i { flex: none; width: 11px; height: 11px; border-radius: 2px; border: 1px solid rgba(128, 128, 128, .7); }
.llmseg-legend span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.llmseg-legend em { font-style: normal; opacity: .7; }
.llmseg-pager { display: flex; justify-content: center; align-items: center; gap: 8px; } .llmseg-pager[hidden] { display: none; }
`;

/** One shown image: the picture, the numbers of the map, and the table that explains them. */
class Sheet {
  constructor(picture, map, table) {
    [this.width, this.height] = table.size;
    this.picture = picture;
    this.rows = table.rows;
    this.cells = table.cells;
    const context = makeCanvas(map.width, map.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(map, 0, 0);
    this.map = context.getImageData(0, 0, map.width, map.height);
  }

  /** What is at a place, both 0..1: {row, name, phrase, confidence}; null outside. */
  tell(x, y) {
    if (!(x >= 0 && x < 1 && y >= 0 && y < 1)) return null;
    const { data, width, height } = this.map;
    const at = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
    const cell = this.cells[data[at] + 256 * data[at + 1]];
    return cell ? { row: cell[0], name: cell[1], phrase: cell[2], confidence: data[at + 2] / 255 } : null;
  }

  /** Draw the picture, everything but one row of the legend dimmed; null for no such row. */
  draw(canvas, row) {
    canvas.width = this.width;
    canvas.height = this.height;
    const context = canvas.getContext("2d");
    context.drawImage(this.picture, 0, 0, this.width, this.height, 0, 0, this.width, this.height);
    if (row === null) return;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.shade(row), 0, 0, this.width, this.height);
  }

  shade(row) {
    const { data, width, height } = this.map;
    const shade = makeCanvas(width, height);
    const context = shade.getContext("2d");
    const pixels = context.createImageData(width, height);
    for (let at = 0; at < data.length; at += 4) {
      const cell = this.cells[data[at] + 256 * data[at + 1]];
      if (!cell || cell[0] !== row) pixels.data[at + 3] = DIMMED;
    }
    context.putImageData(pixels, 0, 0);
    return shade;
  }
}

export class Viewer {
  constructor() {
    addStyle();
    this.sheets = [];
    this.page = 0;
    this.isolated = null; // name of the class, so that it stays isolated on the next page and in the next run
    this.element = make("div", "llmseg-viewer");
    const stage = make("div", "llmseg-stage", this.element);
    this.canvas = make("canvas", "", stage);
    this.tip = make("div", "llmseg-tip", stage);
    this.tip.hidden = true;
    this.legend = make("div", "llmseg-legend", this.element);
    this.pager = make("div", "llmseg-pager", this.element);
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.canvas.addEventListener("click", (event) => this.isolate(this.under(event)?.row ?? null));
  }

  /** Load the files of a run and show them; answers false, and changes nothing, where one of them cannot be used.

      images: addresses of the previews. hovers: [{map: address, size, rows, cells}]. */
  async load(images, hovers) {
    const run = (this.run = (this.run ?? 0) + 1);
    const sheets = await Promise.all(hovers.map(async (table, index) => {
      if (!isTable(table)) throw new TypeError("unknown table");
      return new Sheet(await loadImage(images[index]), await loadImage(table.map), table);
    })).catch(() => []);
    if (run !== this.run || !sheets.length) return false; // a later run is on its way, or a file is missing
    this.sheets = sheets;
    this.turn(Math.min(this.page, sheets.length - 1));
    return true;
  }

  get sheet() {
    return this.sheets[this.page];
  }

  turn(page) {
    this.page = (page + this.sheets.length) % this.sheets.length;
    this.tip.hidden = true;
    this.redraw();
  }

  redraw() {
    const row = this.sheet.rows.findIndex((entry) => entry.name === this.isolated);
    this.sheet.draw(this.canvas, row < 0 ? null : row);
    this.legend.classList.toggle("llmseg-isolating", row >= 0);
    this.legend.replaceChildren(...this.sheet.rows.slice(0, LEGEND_ROWS).map((entry, index) => this.entry(entry, index, index === row)));
    if (this.sheet.rows.length > LEGEND_ROWS) make("span", "", this.legend).textContent = say("and {0} more", this.sheet.rows.length - LEGEND_ROWS);
    this.pager.hidden = this.sheets.length < 2;
    this.pager.replaceChildren(
      this.button("‹", say("the image before"), () => this.turn(this.page - 1)),
      document.createTextNode(say("{0} of {1}", this.page + 1, this.sheets.length)),
      this.button("›", say("the next image"), () => this.turn(this.page + 1)),
    );
  }

  /** A line of the legend. */
  entry({ name, colour, share }, index, pressed) {
    const button = this.button("", say(pressed ? "click: show all again" : "click: show this one alone"), () => this.isolate(index));
    button.setAttribute("aria-pressed", String(pressed));
    make("i", "", button).style.background = `rgb(${colour.map(Number).join(" ")})`;
    make("span", "", button).textContent = name === UNKNOWN ? say(UNKNOWN) : name;
    make("em", "", button).textContent = `${(100 * share).toFixed(1)}%`;
    return button;
  }

  button(text, title, action) {
    const button = make("button", "");
    Object.assign(button, { type: "button", textContent: text, title });
    button.addEventListener("click", action);
    return button;
  }

  /** Show one row of the legend alone; the same row again, or null, shows all. */
  isolate(row) {
    const name = this.sheet?.rows[row]?.name ?? null;
    this.isolated = name === this.isolated ? null : name;
    if (this.sheet) this.redraw();
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    if (!this.sheet || !box.width || !box.height) return null;
    const scale = Math.min(box.width / this.sheet.width, box.height / this.sheet.height); // as object-fit: contain
    const [width, height] = [this.sheet.width * scale, this.sheet.height * scale];
    const x = (event.clientX - box.left - (box.width - width) / 2) / width;
    const y = (event.clientY - box.top - (box.height - height) / 2) / height;
    return this.sheet.tell(x, y);
  }

  hover(event) {
    const found = this.under(event);
    this.tip.hidden = !found;
    if (!found) return;
    make("b", "", this.tip.replaceChildren() ?? this.tip).textContent = found.name === UNKNOWN ? say(UNKNOWN) : found.name;
    this.tip.append(found.name === UNKNOWN ? "" : `  ${say("{0}% sure", Math.round(100 * found.confidence))}`);
    if (found.phrase) make("small", "", this.tip).textContent = say("won by “{0}”", found.phrase);
    this.placeTip(event);
  }

  placeTip(event) {
    const box = this.canvas.getBoundingClientRect();
    const zoom = box.width / (this.canvas.offsetWidth || box.width); // nodes are scaled with the canvas they lie on
    const [x, y] = [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
    const [width, height] = [box.width / zoom, box.height / zoom];
    this.tip.style.left = `${Math.max(0, Math.min(x + 12, width - this.tip.offsetWidth))}px`;
    this.tip.style.top = `${y + 16 + this.tip.offsetHeight > height ? Math.max(0, y - this.tip.offsetHeight - 8) : y + 16}px`;
  }
}

function isTable(table) {
  return Array.isArray(table?.size) && table.size.every((side) => side > 0) && Array.isArray(table.rows)
    && table.rows.every((row) => typeof row.name === "string" && Array.isArray(row.colour)) && Array.isArray(table.cells);
}

function loadImage(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(`cannot load ${address}`));
    image.src = address;
  });
}

function makeCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function make(tag, name, parent) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  parent?.append(element);
  return element;
}

function addStyle() {
  if (document.getElementById("llmseg-viewer-style")) return;
  make("style", "", document.head).id = "llmseg-viewer-style";
  document.getElementById("llmseg-viewer-style").textContent = STYLE;
}
