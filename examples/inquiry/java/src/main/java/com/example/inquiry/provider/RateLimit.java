package com.example.inquiry.provider;

import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Evenly spaced turns: at most so many a second. */
final class RateLimit {
    private final long gapNs;
    private long nextNs = System.nanoTime();

    RateLimit(double perS) {
        gapNs = Math.round(TimeUnit.SECONDS.toNanos(1) / perS);
    }

    /** Waits for a turn. Few threads can wait at once: as many as messages are prefetched. */
    void await() throws InterruptedException {
        TimeUnit.NANOSECONDS.sleep(reserve());
    }

    private synchronized long reserve() {
        long now = System.nanoTime();
        long turn = Math.max(nextNs, now);
        nextNs = turn + gapNs;
        return turn - now;
    }

    /** The provider says that it is too much: nobody's turn comes for so long. */
    synchronized void pause(Duration duration) {
        nextNs = Math.max(nextNs, System.nanoTime() + duration.toNanos());
    }
}
