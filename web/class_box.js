/* Below the text box of Class Names: ready lists to start from, and at once which names collide.

   Not here: the rules (names.js), nodes and the host (llmseg.js). */

import { parseNames } from "./names.js";
import { say } from "./words.js";

const LOOK_AGAIN = 400; // milliseconds; what was typed is noticed at once, what a program wrote a little later
const STYLE = `
.llmseg-names { display: flex; align-items: center; gap: 6px; width: 100%; height: 100%; box-sizing: border-box;
  font: 12px/1.3 sans-serif; color: var(--descrip-text, #aaa); overflow: hidden; }
.llmseg-names select { flex: 0 1 8.5em; min-width: 5em; font: inherit; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 5px; padding: 1px 2px; }
.llmseg-names output { flex: 1 1 0; overflow: hidden; text-overflow: ellipsis; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; }
.llmseg-names output.llmseg-wrong { color: #f2605c; font-weight: 600; }
`;

export class ClassBox {
  /** read: {text(), preset(), linked()} of the node. replace(text): writes the box. presets: [{name, about, classes}]. */
  constructor(read, replace, presets) {
    addStyle();
    this.read = read;
    this.element = document.createElement("div");
    this.element.className = "llmseg-names";
    this.select = this.element.appendChild(document.createElement("select"));
    this.status = this.element.appendChild(document.createElement("output"));
    this.select.title = say("Replaces the names in the box by those of a ready list, to be edited.");
    this.select.append(new Option(say("insert list…"), ""));
    for (const { name, about } of presets) this.select.append(Object.assign(new Option(name, name), { title: about }));
    this.select.hidden = !presets.length;
    this.select.addEventListener("change", () => {
      const chosen = presets.find((preset) => preset.name === this.select.value);
      this.select.value = "";
      if (chosen) replace(chosen.classes);
      this.update();
    });
    this.timer = setInterval(() => this.update(), LOOK_AGAIN);
    this.update();
  }

  update() {
    const { text, preset, linked } = this.read();
    const key = JSON.stringify([text, preset, linked]);
    if (key === this.shown) return;
    this.shown = key;
    const { problem, sentence } = judge(text, preset, linked);
    this.status.textContent = this.status.title = sentence;
    this.status.classList.toggle("llmseg-wrong", problem);
  }

  remove() {
    clearInterval(this.timer);
    this.element.remove();
  }
}

function judge(text, preset, linked) {
  if (preset) return { problem: false, sentence: say("The list {0} is used, not this text.", preset) };
  if (linked) return { problem: false, sentence: "" };
  const { classes, problems } = parseNames(text);
  if (problems.length) return { problem: true, sentence: problems.join("; ") };
  return { problem: false, sentence: classes.length === 1 ? say("1 class") : say("{0} classes", classes.length) };
}

function addStyle() {
  if (document.getElementById("llmseg-names-style")) return;
  const style = Object.assign(document.createElement("style"), { id: "llmseg-names-style", textContent: STYLE });
  document.head.append(style);
}
