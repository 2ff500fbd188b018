/** The page: its elements are looked up once, since its frame never changes; all that is put in is text, never HTML. */
const places = new Map<string, HTMLElement>();

export function fill(item: ParentNode, part: string, text: string): void {
  const element = item.querySelector(`.${part}`);
  if (element && element.textContent !== text) element.textContent = text;
}

export function place(id: string): HTMLElement {
  let element = places.get(id);
  if (!element) {
    element = document.getElementById(id) ?? undefined;
    if (!element) throw new Error(`the page has no element #${id}`);
    places.set(id, element);
  }
  return element;
}

export function write(id: string, text: string): void {
  const element = place(id);
  if (element.textContent !== text) element.textContent = text;
}

export function set(id: string, attribute: string, value: string): void {
  place(id).setAttribute(attribute, value);
}

/** An element with a class and a text. */
export function make<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, className: string, ...content: (string | Node)[]): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}
