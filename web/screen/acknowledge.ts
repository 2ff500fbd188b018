import { base } from '../base/base.js';
import type { ScreenToken } from './paired.js';
import { bearer } from './token.js';
import type { Words } from './words.js';
import type { OpenAlert } from './zone.js';

/**
 * Tells the server that someone in front of the screen sees to an alert. All screens hear of it over their sockets. Where
 * the server asks who it is, a dialog asks for a PIN.
 */
export class Acknowledger {
  readonly #dialog = element<HTMLDialogElement>('pin');
  readonly #input = element<HTMLInputElement>('pin-input');
  readonly #answer = element<HTMLElement>('pin-answer');
  #alert: OpenAlert | undefined;

  constructor(
    private readonly warehouse: string,
    private readonly zone: string,
    private readonly token: ScreenToken,
    private readonly say: Words,
  ) {
    element<HTMLFormElement>('pin-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#alert) this.#send(this.#alert, this.#input.value).catch(() => this.#tell(say.notSent));
    });
    element<HTMLButtonElement>('pin-cancel').addEventListener('click', () => this.#dialog.close());
  }

  /** Whether someone is about to enter a PIN. */
  get busy(): boolean {
    return this.#dialog.open;
  }

  acknowledge(alert: OpenAlert): void {
    this.#alert = alert;
    this.#send(alert).catch(() => this.#ask(this.say.notSent));
  }

  async #send({ id, scope, zone = this.zone }: OpenAlert, pin?: string): Promise<void> {
    const room = scope === 'zone' ? `${this.warehouse}/zones/${zone}` : this.warehouse;
    const { ok, status } = await fetch(`${base}/api/v1/warehouses/${room}/alerts/acknowledge`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...bearer(this.token.text),
        ...(pin && { 'Zonecast-Pin': pin }),
      },
      body: JSON.stringify({ id }),
    });
    if (ok || status === 404) this.#dialog.close(); // 404: it is over
    else if (status === 401 || status === 403) this.#ask(pin ? this.say.wrongPin : '');
    else this.#ask(status === 429 ? this.say.manyPins : this.say.notSent);
  }

  #ask(answer: string): void {
    this.#tell(answer);
    this.#input.value = '';
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #tell(answer: string): void {
    this.#answer.textContent = answer;
  }
}

function element<Kind extends HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}
