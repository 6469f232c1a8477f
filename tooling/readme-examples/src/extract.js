// Finds the runnable examples of a README: each fenced block that starts with ```ts example. When the next fenced block
// is ```text, it is what the example prints.

/** @typedef {{ line: number, code: string, output: string | undefined }} Example */

/**
 * @param {string} markdown
 * @returns {Example[]}
 */
export function extractExamples(markdown) {
  const blocks = fencedBlocks(markdown);
  return blocks.flatMap((block, index) => {
    if (block.info !== "ts example") return [];
    const next = blocks[index + 1];
    return [{ line: block.line, code: block.text, output: next?.info === "text" ? next.text : undefined }];
  });
}

/** @param {string} markdown */
function fencedBlocks(markdown) {
  /** @type {{ info: string, line: number, text: string }[]} */
  const blocks = [];
  const fence = /^(?<ticks>`{3,})(?<info>[^\n`]*)\n(?<text>[\s\S]*?)^\k<ticks>[ \t]*$/gm;
  for (const match of markdown.matchAll(fence)) {
    const { info = "", text = "" } = match.groups ?? {};
    const line = markdown.slice(0, match.index).split("\n").length;
    blocks.push({ info: info.trim(), line, text });
  }
  return blocks;
}

/** What must be equal: line ends and trailing blanks are nobody's meaning. @param {string} text */
export const normalized = (text) => text.replace(/[ \t\r]+$/gm, "").trim();
