import { backoff, createAlarms } from './alarms';
import type { Platform, Socket } from './platform';
import type { Frame } from './types';
import { wordsOf } from './faults';
import { parseJson, quietly } from './text';

/** Who shares a line. */
export interface Member {
  /** Its order; absent: it hears every frame. */
  orderId?: string;
  up(): void;
  /** `refused`: the attempt never became a connection that answers, and why in the platform's words. */
  down(refused: boolean, reason?: string): void;
  /** `answer`: to this member's `subscribe`. */
  frame(frame: Frame, answer: boolean): void;
}

/** One socket to one service, kept up as long as somebody is on it. */
export interface Line {
  enter(member: Member): void;
  leave(member: Member): void;
  /** Asks for the member's order. One ticket at a time: an error frame need not say whose it means. */
  subscribe(member: Member, ticket: string): void;
  /** `done` may never run if the line is lost. */
  send(frame: object, done?: (sent: boolean) => void): void;
}

const CONNECT_TIMEOUT_MS = 8000;
const ANSWER_TIMEOUT_MS = 5000;
const PING_INTERVAL_MS = 20000;
const PONG_TIMEOUT_MS = 8000;
const PROBE_TIMEOUT_MS = 3000;
const RECONNECT_WAIT_MAX_MS = 60000;
const STABLE_MS = 10000;
const SETTLE_MS = 200;
/** The platforms cut sockets of a program that is in the background for this long, and may forget to say so. */
const BACKGROUND_MS = 5000;

interface Turn {
  member: Member;
  ticket: string;
  /** A frame with its ticket is under way: one for all the orders that wait with the same ticket. */
  sent?: boolean;
}

const enum State {
  Waiting,
  Connecting,
  Open,
}

interface Shared extends Line {
  platform: Platform;
  url: string;
}

const lines = new Set<Shared>();

/** The line to the service at that base address, as `httpBase` gives it. Mini-programs have five sockets in all, so there is one line an address. */
export function lineTo(platform: Platform, base: string): Line {
  const url = base.replace('http', 'ws') + '/v1/ws';
  let line = Array.from(lines).find((each) => each.platform === platform && each.url === url);
  if (!line) lines.add((line = createLine(platform, url)));
  return line;
}

function createLine(platform: Platform, url: string): Shared {
  const alarms = createAlarms(platform);
  const members = new Set<Member>();
  let turns: Turn[] = [];
  let state = State.Waiting as State;
  let socket: Socket | undefined;
  let attempt: object | undefined;
  let heard = false;
  /** The last `subscribe` that was sent was answered for some order. */
  let answered = false;
  let openedAt = 0;
  let failures = 0;
  let hiddenAt = 0;

  function connect(): void {
    if (state !== State.Waiting) drop();
    // Whoever is told that the line is down may leave it, or enter it.
    if (!members.size || state !== State.Waiting) return;
    const mine = (attempt = {});
    const live = (): boolean => attempt === mine;
    let opened: Socket | undefined;
    state = State.Connecting;
    heard = false;
    alarms.at('connect', CONNECT_TIMEOUT_MS, () => lost());
    try {
      opened = platform.connect(url, {
        open() {
          // Some platforms ignore a close before the open.
          if (!live()) opened && opened.close();
          else if (state === State.Connecting) up();
        },
        message: (text) => live() && hear(text),
        close: (reason) => live() && lost(reason),
      });
      if (live()) socket = opened;
      else opened.close();
    } catch (error) {
      if (live()) lost(wordsOf(error));
    }
  }

  function up(): void {
    state = State.Open;
    openedAt = platform.now();
    alarms.off('connect');
    alarms.at('beat', PING_INTERVAL_MS, beat);
    members.forEach((member) => state === State.Open && member.up());
  }

  function shut(): void {
    const old = socket;
    attempt = socket = undefined;
    state = State.Waiting;
    turns = [];
    ['connect', 'beat', 'pong', 'answer'].forEach(alarms.off);
    if (old) quietly(() => old.close());
  }

  function drop(refused = !heard, reason?: string): void {
    shut();
    members.forEach((member) => member.down(refused, reason));
  }

  function lost(reason?: string): void {
    if (heard && platform.now() - openedAt > STABLE_MS) failures = 0;
    drop(!heard, reason);
    // A `reconnect` frame has said when.
    if (!alarms.has('retry')) retry(backoff(platform, failures++));
  }

  function renew(inMs: number): void {
    failures = 0;
    drop(false);
    retry(inMs);
  }

  function retry(inMs: number): void {
    // Whoever was told that the line is down may have left it, or entered it again.
    if (members.size && state === State.Waiting) alarms.at('retry', inMs, connect);
  }

  function transmit(frame: object, done?: (sent: boolean) => void): void {
    const mine = attempt;
    let over = false;
    const finish = (sent: boolean): void => {
      if (over) return;
      over = true;
      if (done) done(sent);
      if (!sent && attempt === mine) lost();
    };
    if (!socket) return done && done(false);
    if (!quietly(() => socket!.send(JSON.stringify(frame), finish))) finish(false);
  }

  function probe(withinMs: number): void {
    alarms.at('pong', withinMs, () => lost());
    transmit({ type: 'ping' });
  }

  function beat(): void {
    alarms.at('beat', PING_INTERVAL_MS, beat);
    probe(PONG_TIMEOUT_MS);
  }

  function ask(): void {
    const [first] = turns;
    if (!first) return;
    alarms.at('answer', ANSWER_TIMEOUT_MS, unanswered);
    if (first.sent) return;
    answered = false;
    turns.forEach((turn) => (turn.sent = turn.ticket === first.ticket));
    transmit({ type: 'subscribe', ticket: first.ticket });
  }

  /** Answered, and not for this order: the ticket is for others. The socket, which all share, is not to blame. */
  function unanswered(): void {
    if (!answered) return lost();
    const turn = turns.shift();
    if (turn && members.has(turn.member)) turn.member.frame({ type: 'error', code: 'forbidden' }, true);
    if (state === State.Open) ask();
  }

  function hear(text: string): void {
    const frame = parseJson(text) as Frame | undefined;
    if (!frame || state !== State.Open) return;
    heard = true;
    alarms.off('pong');
    const orderId = frame.order_id || (frame.payment && frame.payment.order_id);
    const isError = frame.type === 'error';
    const isAnswer = frame.type === 'subscribed';
    // A refused ticket is answered without an order; with one, a ticket has run out that was good, maybe another's.
    const isAnswered = (each: Turn): boolean | undefined => each.sent && (!orderId || (orderId === each.member.orderId && !/ticket/.test(frame.code!)));
    const turn = (isError || isAnswer) && turns.find(isAnswered);
    answered = answered || isAnswer;
    if (frame.type === 'reconnect') {
      alarms.at('retry', Math.min(frame.after_ms || 0, RECONNECT_WAIT_MAX_MS), connect);
    }
    if (turn) {
      turns = turns.filter((each) => each !== turn && !(orderId && isAnswered(each)));
      // Without an order it is the ticket that is refused: each of its orders asks by itself, with a better one.
      if (!orderId) turns.forEach((each) => (each.sent = false));
      alarms.off('answer');
    }
    members.forEach((member) => {
      const concerns = orderId ? member.orderId === orderId : isError && (!turn || member === turn.member);
      if (!member.orderId || concerns) member.frame(frame, !!turn);
    });
    if (turn && state === State.Open) ask();
  }

  const hooks = [
    platform.onHide(() => {
      hiddenAt = hiddenAt || platform.now();
    }),
    platform.onShow(() => {
      const away = hiddenAt && platform.now() - hiddenAt;
      hiddenAt = 0;
      if (state === State.Open && away < BACKGROUND_MS) probe(PROBE_TIMEOUT_MS);
      else renew(0);
    }),
    platform.onNetwork((connected) => {
      // Changes come in bursts.
      if (connected) renew(SETTLE_MS);
    }),
  ];

  const line: Shared = {
    platform,
    url,
    enter(member) {
      members.add(member);
      if (state === State.Open) member.up();
      else if (state === State.Waiting && !alarms.has('retry')) connect();
    },
    leave(member) {
      members.delete(member);
      turns = turns.filter((each) => each.sent || each.member !== member);
      if (!members.size) {
        lines.delete(line);
        hooks.forEach((unhook) => unhook());
        shut();
        alarms.cancelAll();
      } else if (member.orderId && state === State.Open && !Array.from(members).some((each) => each.orderId === member.orderId)) {
        transmit({ type: 'unsubscribe', order_id: member.orderId });
      }
    },
    subscribe(member, ticket) {
      if (state !== State.Open) return;
      turns = turns.filter((each) => each.sent || each.member !== member);
      // Others with the same ticket may follow at once.
      if (turns.push({ member, ticket }) === 1) Promise.resolve().then(ask);
    },
    send: transmit,
  };
  return line;
}
