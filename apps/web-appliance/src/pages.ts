/** Small pages of our own: each a complete response. */
import { type HttpResponse, reasonPhrase } from "@toril/http";

const STYLE =
  "<style>:root{color-scheme:light dark}body{font:17px/1.6 system-ui,sans-serif;max-width:44rem;margin:10vh auto;padding:0 1.5rem}h1{font-size:1.6rem}li{list-style:none}ul{padding:0}a{text-decoration:none}a:hover{text-decoration:underline}small{opacity:.6}</style>";

export function page(status: number, title: string, body: string, headers: Record<string, string> = {}): HttpResponse {
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>${STYLE}<h1>${title}</h1>${body}</html>\n`;
  return {
    status,
    headers: { "content-type": "text/html;charset=utf-8", "x-content-type-options": "nosniff", ...headers },
    body: html,
  };
}

export function errorPage(status: number, headers: Record<string, string> = {}): HttpResponse {
  return page(status, `${status} ${reasonPhrase(status)}`, "<p><small>Toril</small></p>", headers);
}

/** @param location a path, percent-encoded */
export function redirect(location: string): HttpResponse {
  return page(301, "Moved", `<p><a href="${escapeHtml(location)}">Here</a></p>`, { location });
}

export function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
