import type { Cancel, Platform, Request, Response, Socket, SocketEvents } from '../../src/platform';

/** Milliseconds in the background after which a platform stops the program. */
const FREEZE_AFTER_MS = 5000;

/** What the network does at this moment. */
export interface Weather {
  latencyMs(): number;
  /**
   * `mute`: opens and passes nothing; `never`: says nothing at all; `throw`: cannot even be made; `at once`: is closed before
   * the page has it.
   */
  sockets: 'work' | 'refused' | 'never' | 'mute' | 'throw' | 'at once';
  sends: 'work' | 'fail' | 'throw';
  http: 'work' | 'fail' | 'hang' | 'forbidden';
}

/** What the page talks to. */
export interface Service {
  socket(link: Link): { message(text: string): void; closed(): void };
  http(request: Request, answer: (response: Response) => void, later: (ms: number, run: () => void) => Cancel): Cancel;
}

/** The service's end of a socket. */
export interface Link {
  send(frame: object): void;
  /** `silent`: the page is never told. A number: told that many milliseconds later. */
  cut(how?: 'told' | 'silent' | number): void;
  /** By the service's own clock, whatever becomes of the page. */
  later(ms: number, run: () => void): Cancel;
}

export interface World {
  platform: Platform;
  weather: Weather;
  now(): number;
  advance(ms: number): Promise<void>;
  until(condition: () => boolean, withinMs: number): Promise<void>;
  background(): void;
  foreground(): void;
  network(connected: boolean): void;
  /** What the page holds: timers, sockets, requests and listeners. */
  live(): string[];
  cutAll(how?: 'told' | 'silent' | number): void;
  counts: { connects: number; requests: number };
  setClock(byMs: number): void;
  /** As some devices do in the background. */
  loseTimers(): void;
}

interface Event {
  at: number;
  order: number;
  run(): void;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function createWorld(service: Service, random: () => number = () => 0.5): World {
  let time = 1_700_000_000_000;
  let skew = 0;
  let order = 0;
  let hiddenAt: number | null = null;
  const events = new Set<Event>();
  const timers = new Map<number, { at: number; run(): void }>();
  const held: (() => void)[] = [];
  const sockets = new Set<{ name: string; cut(how?: 'told' | 'silent' | number): void }>();
  const requests = new Set<string>();
  const listeners = { show: new Set<() => void>(), hide: new Set<() => void>(), network: new Set<(connected: boolean) => void>() };
  const counts = { connects: 0, requests: 0 };
  const weather: Weather = { latencyMs: () => 20, sockets: 'work', sends: 'work', http: 'work' };

  const frozen = (): boolean => hiddenAt !== null && time - hiddenAt >= FREEZE_AFTER_MS;
  const later = (ms: number, run: () => void): Cancel => {
    const event = { at: time + Math.max(0, ms), order: order++, run };
    events.add(event);
    return () => events.delete(event);
  };
  const toPage = (run: () => void): void => (frozen() ? void held.push(run) : run());

  function listen<T>(set: Set<T>, run: T): Cancel {
    set.add(run);
    return () => set.delete(run);
  }

  function connect(_url: string, on: SocketEvents): Socket {
    counts.connects++;
    if (weather.sockets === 'throw') throw new Error('no sockets here');
    const name = `socket ${counts.connects}`;
    const mode = weather.sockets;
    let state: 'connecting' | 'open' | 'gone' = 'connecting';
    // Messages keep their order, whatever the latency.
    let lastAt = 0;
    const inOrder = (run: () => void): void => {
      lastAt = Math.max(lastAt, time + weather.latencyMs());
      later(lastAt - time, run);
    };
    let service_: ReturnType<Service['socket']> | undefined;
    const forget = (): void => {
      state = 'gone';
      sockets.delete(entry);
      service_?.closed();
    };
    const entry = {
      name,
      cut(how: 'told' | 'silent' | number = 'told') {
        if (state === 'gone') return;
        service_?.closed();
        service_ = undefined;
        if (how === 'silent') return;
        later(how === 'told' ? 0 : how, () => {
          if (state === 'gone') return;
          sockets.delete(entry);
          toPage(() => on.close());
        });
      },
    };
    sockets.add(entry);
    if (mode === 'at once') on.close();
    else if (mode === 'refused') later(weather.latencyMs(), () => entry.cut());
    else if (mode !== 'never')
      inOrder(() => {
        if (state === 'gone') return;
        state = 'open';
        if (mode === 'work') {
          service_ = service.socket({
            send: (frame) =>
              inOrder(() => {
                if (service_ && state === 'open') toPage(() => on.message(JSON.stringify(frame)));
              }),
            cut: entry.cut,
            later,
          });
        }
        toPage(() => on.open());
      });
    return {
      send(text, done) {
        if (weather.sends === 'throw') throw new Error('no sending here');
        if (state !== 'open' || weather.sends === 'fail') return done(false);
        inOrder(() => service_?.message(text));
        later(0, () => toPage(() => done(true)));
      },
      close() {
        // As on devices: a close before the open does nothing.
        if (state === 'connecting' && mode !== 'never' && mode !== 'at once') return;
        forget();
      },
    };
  }

  function request(req: Request, done: (response: Response) => void): Cancel {
    counts.requests++;
    const name = `request ${counts.requests} ${req.url}`;
    let over = false;
    let cancel: Cancel | undefined;
    requests.add(name);
    const finish = (response: Response): void => {
      if (over) return;
      over = true;
      later(weather.latencyMs(), () => {
        if (requests.delete(name)) toPage(() => done(response));
      });
    };
    const mode = weather.http;
    if (mode === 'fail') finish({ status: 0 });
    else if (mode === 'forbidden') finish({ status: 403, data: '<html>forbidden' });
    else if (mode === 'work')
      later(weather.latencyMs(), () => {
        if (over) return;
        cancel = service.http(req, finish, later);
        if (over) cancel();
      });
    return () => {
      over = true;
      requests.delete(name);
      cancel?.();
    };
  }

  const platform: Platform = {
    connect,
    request,
    onShow: (run) => listen(listeners.show, run),
    onHide: (run) => listen(listeners.hide, run),
    onNetwork: (run) => listen(listeners.network, run),
    now: () => time + skew,
    setTimer(run, ms) {
      timers.set(order, { at: time + Math.max(0, ms), run });
      return order++;
    },
    clearTimer: (timer) => void timers.delete(timer as number),
    random,
  };

  function nextAt(): number {
    let at = Infinity;
    for (const event of events) at = Math.min(at, event.at);
    if (!frozen()) for (const timer of timers.values()) at = Math.min(at, Math.max(time, timer.at));
    return at;
  }

  function runDue(): void {
    const due = [...events].filter((event) => event.at <= time).sort((a, b) => a.at - b.at || a.order - b.order)[0];
    if (due) {
      events.delete(due);
      return due.run();
    }
    if (frozen()) return;
    for (const [id, timer] of timers) {
      if (timer.at > time) continue;
      timers.delete(id);
      return timer.run();
    }
  }

  async function step(target: number): Promise<boolean> {
    await turn();
    const at = nextAt();
    if (at > target) return false;
    time = Math.max(time, at);
    runDue();
    return true;
  }

  return {
    platform,
    weather,
    counts,
    now: () => time,
    async advance(ms) {
      const target = time + ms;
      while (await step(target));
      time = target;
    },
    async until(condition, withinMs) {
      const target = time + withinMs;
      while (!condition()) {
        if (await step(target)) continue;
        await turn();
        if (condition()) return;
        throw new Error(`not within ${withinMs} ms`);
      }
    },
    background() {
      if (hiddenAt !== null) return;
      hiddenAt = time;
      listeners.hide.forEach((run) => run());
    },
    foreground() {
      if (hiddenAt === null) return;
      hiddenAt = null;
      // Late callbacks come before or after the event that says that the program is back.
      const late = held.splice(0);
      const before = random() < 0.5;
      if (before) late.forEach((run) => run());
      [...listeners.show].forEach((run) => run());
      if (!before) late.forEach((run) => run());
    },
    network: (connected) => [...listeners.network].forEach((run) => run(connected)),
    live: () => [
      ...[...timers.keys()].map((id) => `timer ${id}`),
      ...[...sockets].map((each) => each.name),
      ...requests,
      ...Object.entries(listeners).flatMap(([name, { size }]) => (size ? [`${size} listeners for ${name}`] : [])),
    ],
    cutAll: (how) => [...sockets].forEach((each) => each.cut(how)),
    loseTimers: () => timers.clear(),
    setClock(byMs) {
      skew += byMs;
    },
  };
}
