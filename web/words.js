/* What the scripts say, in the language that ComfyUI's page is set to; English where there is no other.

   Not here: names of nodes and inputs, which ComfyUI takes from locales/. */

const CHINESE = {
  "insert list…": "插入列表…",
  "Replaces the names in the box by those of a ready list, to be edited.": "用现成列表中的名称替换框中的名称，之后可再编辑。",
  "The list {0} is used, not this text.": "使用列表 {0}，不使用此处文字。",
  "1 class": "1 个类别",
  "{0} classes": "{0} 个类别",
  "“{0}” stands twice": "“{0}”出现两次",
  "no class name yet": "尚无类别名称",
  "{0} classes; at most {1} can be told apart": "{0} 个类别；最多可区分 {1} 个",
  "“{0}…” has {1} characters; at most {2} are read": "“{0}…”有 {1} 个字符；最多读取 {2} 个",
  "and {0} more": "以及另外 {0} 项",
  "the image before": "上一张图像",
  "the next image": "下一张图像",
  "{0} of {1}": "第 {0} 张，共 {1} 张",
  "click: show all again": "点击：重新显示全部",
  "click: show this one alone": "点击：单独显示此类",
  unknown: "未知",
  "{0}% sure": "把握 {0}%",
  "won by “{0}”": "胜出短语：“{0}”",
};
const TABLES = { zh: CHINESE };

let table = {};

/** Choose the language, a code such as "zh" or "zh-CN"; what has no table is English. */
export function setLanguage(code) {
  table = TABLES[String(code).split("-")[0]] ?? {};
}

/** A sentence in the chosen language, {0}, {1} ... filled in. */
export function say(english, ...values) {
  return (table[english] ?? english).replace(/\{(\d)\}/gu, (_, place) => String(values[place]));
}
