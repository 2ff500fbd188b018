import type { Settings } from './settings.js';

/** How long the motion takes, and the sound. In milliseconds. */
const MOTION = 600;
const SOUND = 500;

/**
 * Draws attention to a new critical alert: the panel of the alerts moves once, from above, so that nothing can be scrolled to, and a
 * tone is heard where the browser lets a page be heard that nobody has touched.
 */
export class Notice {
  #audio: AudioContext | undefined;

  constructor(private readonly chosen: Pick<Settings, 'still' | 'mute'>) {}

  give(panel: HTMLElement): void {
    if (!this.chosen.still && !matchMedia('(prefers-reduced-motion: reduce)').matches)
      panel.animate([{ translate: '0 -20%' }, { translate: '0 0' }], { duration: MOTION, easing: 'ease-out' });
    if (!this.chosen.mute) this.#sound().catch(() => {}); // there is no sound, or it is not allowed
  }

  async #sound(): Promise<void> {
    this.#audio ??= new AudioContext();
    const audio = this.#audio;
    // Where it is not allowed this waits for the first touch, when the alert is no news any more.
    if (audio.state !== 'running') {
      audio.resume().catch(() => {});
      return;
    }
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    tone.frequency.value = 880;
    volume.gain.setValueAtTime(0.5, audio.currentTime);
    volume.gain.linearRampToValueAtTime(0, audio.currentTime + SOUND / 1000);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + SOUND / 1000);
  }
}
