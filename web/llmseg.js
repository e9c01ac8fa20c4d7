/* The pack in ComfyUI's page: previews that answer, and a box for class names that checks them.

   Whatever the page does not offer is left out: then the plain preview and the plain box stay. Nothing here throws.
   Not here: what is shown (viewer.js, class_box.js). */

import { ClassBox } from "./class_box.js";
import { Viewer } from "./viewer.js";
import { setLanguage } from "./words.js";

const VIEWED = new Set(["LLMSegOverlay", "LLMSegExplain", "LLMSegSegment"]);
const NAME_BOXES = { LLMSegClassNames: "text", LLMSegSegment: "class_names" }; // node -> its box of class names
const VIEWER = "llmseg_viewer";
const BOX = "llmseg_names";
const PLAIN_PREVIEW = "$$canvas-image-preview"; // ComfyUI's name for the widget that draws node.imgs
const CUSTOM = "custom"; // the preset that means the text
const [LEAST_HEIGHT, MOST_HEIGHT, LEGEND_HEIGHT] = [240, 520, 90]; // of a viewer, in pixels of a node
const viewers = new WeakMap();

/** Do what may fail in a page that is other than expected; the page goes on without. */
function attempt(action, otherwise) {
  try {
    return action();
  } catch (error) {
    console.warn("LLMSeg: this page lacks something, a plain view stays.", error);
    return otherwise;
  }
}

/** A widget that is only looked at: no value of it may enter a workflow or a prompt. */
function addView(node, name, element, options) {
  const widget = node.addDOMWidget(name, name, element, { serialize: false, hideOnZoom: false, getValue: () => "", setValue: () => {}, ...options });
  widget.serialize = false;
  widget.serializeValue = () => undefined;
  return widget;
}

function fileAddress(api, entry) {
  const query = `/view?${new URLSearchParams({ filename: entry.filename, subfolder: entry.subfolder ?? "", type: entry.type ?? "temp" })}`;
  return typeof api?.apiURL === "function" ? api.apiURL(query) : new URL(`../..${query}`, import.meta.url).href;
}

async function showResult(app, api, node, output) {
  const { images, llmseg: hovers } = output ?? {};
  if (!Array.isArray(images) || !Array.isArray(hovers) || !hovers.length || typeof node?.addDOMWidget !== "function") return;
  const viewer = viewers.get(node) ?? new Viewer();
  viewers.set(node, viewer); // at once: the next run may end before these files are here
  const tables = hovers.map((hover) => ({ ...hover, map: fileAddress(api, hover.map) }));
  const addresses = images.map((entry) => fileAddress(api, entry));
  const key = JSON.stringify(tables.map((table) => table.map).concat(addresses));
  if (viewer.key === key) return;
  viewer.key = key;
  if (!(await viewer.load(addresses, tables))) {
    if (viewer.key === key) viewer.key = ""; // another time it may be there
    return;
  }
  hidePlainPreview(node);
  if (!viewer.attached) attachViewer(app, node, viewer);
  attempt(() => node.setDirtyCanvas?.(true, true));
}

function attachViewer(app, node, viewer) {
  viewer.attached = true;
  addView(node, VIEWER, viewer.element, { getMinHeight: () => LEAST_HEIGHT });
  viewer.element.addEventListener("wheel", (event) => attempt(() => {
    if (event.target.closest?.(".llmseg-legend") && viewer.legend.scrollHeight > viewer.legend.clientHeight) return event.stopPropagation();
    event.preventDefault(); // the wheel zooms the graph, here as beside the node
    app.canvas?.canvas?.dispatchEvent(new WheelEvent(event.type, event));
  }), { passive: false });
  attempt(() => {
    const { width, height } = viewer.sheet;
    const wide = Math.max(node.size[0], 320);
    const picture = Math.min(MOST_HEIGHT, ((wide - 20) * height) / width);
    node.setSize?.([wide, Math.max(node.size[1], node.computeSize()[1] - LEAST_HEIGHT + picture + LEGEND_HEIGHT)]);
  });
}

/** Two previews would be one too many. Of these nodes the background draws nothing else. */
function hidePlainPreview(node) {
  attempt(() => {
    node.hideOutputImages = true;
    node.onDrawBackground = () => {};
    node.imgs = undefined;
    const plain = node.widgets?.findIndex((widget) => widget.name === PLAIN_PREVIEW) ?? -1;
    if (plain >= 0) node.widgets.splice(plain, 1)[0].onRemove?.();
  });
}

let presets;

/** The ready lists, asked for once; none where the file cannot be had. */
function loadPresets() {
  presets ??= fetch(new URL("presets.json", import.meta.url)).then((answer) => answer.json()).then((data) => data.presets).catch(() => []);
  return presets;
}

async function addClassBox(node, boxName) {
  const named = (name) => node.widgets?.find((widget) => widget.name === name);
  const text = named(boxName);
  if (!text || named(BOX) || typeof node.addDOMWidget !== "function") return;
  const read = () => {
    const preset = named("preset")?.value ?? CUSTOM;
    const slot = node.inputs?.findIndex((input) => input.widget?.name === boxName) ?? -1;
    return {
      text: String(named(boxName)?.value ?? ""),
      preset: preset === CUSTOM ? "" : String(preset),
      linked: slot >= 0 && attempt(() => node.isInputConnected(slot), false),
    };
  };
  const write = (name, value) => {
    const widget = named(name);
    if (!widget || widget.value === value) return;
    widget.value = value;
    widget.callback?.(value);
  };
  const replace = (names) => attempt(() => {
    write(boxName, names);
    write("preset", CUSTOM);
    node.graph?.change?.();
  });
  const box = new ClassBox(read, replace, await loadPresets());
  addView(node, BOX, box.element, { getMinHeight: () => 34, getMaxHeight: () => 34 });
  attempt(() => node.setDirtyCanvas?.(true, true)); // it came after the node was drawn
  (text.inputEl ?? text.element)?.addEventListener?.("input", () => box.update());
  const removed = node.onRemoved;
  node.onRemoved = function (...given) {
    box.remove();
    return removed?.apply(this, given);
  };
}

function extension(app, api) {
  const show = (node, output) => attempt(() => showResult(app, api, node, output).catch((error) => console.warn("LLMSeg:", error)));
  return {
    name: "llmseg.seeing",
    beforeRegisterNodeDef(nodeType, nodeData) {
      if (!VIEWED.has(nodeData?.name)) return;
      attempt(() => {
        const before = nodeType.prototype.onExecuted;
        nodeType.prototype.onExecuted = function (output, ...rest) {
          show(this, output);
          return before?.call(this, output, ...rest);
        };
      });
    },
    nodeCreated(node) {
      const boxName = NAME_BOXES[node?.comfyClass];
      if (boxName) addClassBox(node, boxName).catch((error) => console.warn("LLMSeg:", error));
    },
    // Also where a tab is opened again, whose nodes are new and whose results are old.
    onNodeOutputsUpdated(outputs) {
      attempt(() => {
        for (const [id, output] of Object.entries(outputs ?? {})) {
          const node = output?.llmseg && (app.rootGraph ?? app.graph)?.getNodeById?.(id);
          if (VIEWED.has(node?.comfyClass)) show(node, output);
        }
      });
    },
  };
}

async function register() {
  const { app } = await import("../../scripts/app.js").catch(() => window);
  const { api } = await import("../../scripts/api.js").catch(() => ({}));
  attempt(() => setLanguage(app?.ui?.settings?.getSettingValue?.("Comfy.Locale") ?? navigator.language));
  attempt(() => app?.registerExtension?.(extension(app, api)));
}

await register();
