// Plays pictures one after the other, there and back again. Which pictures, and where, is the caller's business.

const PICTURE_MS = 160;

/** One player of one `img`. */
export class Player {
  #timer = null;

  get isPlaying() { return this.#timer !== null; }

  /**
   * @param {HTMLImageElement} picture
   * @param {Array<string>} addresses of at least two pictures
   */
  play(picture, addresses) {
    this.stop();
    const way = [...addresses, ...addresses.slice(1, -1).reverse()];
    let step = 0;
    const show = () => { picture.src = way[step++ % way.length]; };
    show();
    this.#timer = setInterval(show, PICTURE_MS);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
