import { expect, it } from "vitest";
import { figuresOf } from "./figure.ts";

it("takes each plot with the style of its page, and nothing else", () => {
  const plot = (title: string) => `<svg viewBox="0 0 660 200" role="img" aria-label="${title}"><rect/></svg>`;
  const page = `<style>:root { --panel: white; }</style><svg class="swatch"></svg><figure>${plot("A")}</figure><figure>${plot("B")}</figure>`;
  const [a, b, ...more] = figuresOf(page);
  expect([a?.title, b?.title, more]).toEqual(["A", "B", []]);
  expect(a?.svg).toBe(
    '<svg xmlns="http://www.w3.org/2000/svg" width="660" height="200" viewBox="0 0 660 200" role="img" aria-label="A"><style>:root { --panel: white; }\nsvg { background: var(--panel); font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }</style><rect/></svg>',
  );
});
