// How fast, and how many at once.
import { sleep } from "../../../worker/sleep.mjs";

/** At most `perS` turns a second, evenly spaced, after a burst of as many as half a second allows. */
export class RateLimit {
  #gap_ms;
  #burst_ms;
  #next_ms = 0;
  #now;

  constructor(perS, now = () => performance.now()) {
    this.#gap_ms = 1000 / perS;
    this.#burst_ms = Math.min(500, this.#gap_ms * (perS - 1));
    this.#now = now;
  }

  /** Reserves the next turn and gives how many ms it is away. */
  reserve() {
    const now = this.#now();
    const turn = Math.max(this.#next_ms, now - Math.max(0, this.#burst_ms));
    this.#next_ms = turn + this.#gap_ms;
    return Math.max(0, turn - now);
  }

  async turn(signal) {
    const wait_ms = this.reserve();
    if (wait_ms > 0) await sleep(wait_ms, signal);
  }

  /** The provider says that it is too much: nobody's turn comes for so long. */
  pause(ms) {
    this.#next_ms = Math.max(this.#next_ms, this.#now() + ms);
  }
}

/** Whoever asks for a key while that is under way gets the outcome of what is under way. */
export class SingleFlight {
  #flights = new Map();

  run(key, work) {
    let flight = this.#flights.get(key);
    if (!flight) {
      flight = work().finally(() => this.#flights.delete(key));
      this.#flights.set(key, flight);
    }
    return flight;
  }
}
