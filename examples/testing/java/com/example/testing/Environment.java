package com.example.testing;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;

/** Where the tests' RabbitMQ, PostgreSQL and program are: from the environment, else from what scripts/broker and scripts/postgres write. */
public final class Environment {
    private static final Duration DEADLINE = Duration.ofSeconds(20);

    private Environment() {
    }

    public static String amqpUrl() {
        return setting("AMQP_URL", ".run/test/env");
    }

    public static String managementUrl() {
        return setting("MANAGEMENT_URL", ".run/test/env");
    }

    public static String postgresUrl() {
        return setting("POSTGRES_URL", ".run/postgres/env");
    }

    public static String program() {
        String given = System.getenv("PAYMENT_NOTIFIER_BIN");
        return given != null && !given.isEmpty() ? given : root().resolve("target/debug/payment-notifier").toString();
    }

    /** The root of the checkout. */
    public static Path root() {
        for (Path folder = Path.of("").toAbsolutePath(); folder != null; folder = folder.getParent()) {
            if (Files.exists(folder.resolve("scripts/broker"))) {
                return folder;
            }
        }
        throw new IllegalStateException("not in a checkout");
    }

    private static String setting(String name, String file) {
        String given = System.getenv(name);
        if (given != null && !given.isEmpty()) {
            return given;
        }
        try {
            return Files.readAllLines(root().resolve(file)).stream().filter(line -> line.startsWith(name + "="))
                    .map(line -> line.substring(name.length() + 1)).findFirst().orElseThrow();
        } catch (IOException | RuntimeException missing) {
            throw new IllegalStateException(name + " is not set: run scripts/broker up .run/test and scripts/postgres up .run/postgres", missing);
        }
    }

    /** Waits until {@code condition} gives something that is neither null nor false, and gives it. */
    public static <T> T until(String what, Callable<T> condition) throws Exception {
        long end = System.nanoTime() + DEADLINE.toNanos();
        while (true) {
            T value = condition.call();
            if (value != null && !Boolean.FALSE.equals(value)) {
                return value;
            }
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + DEADLINE.toSeconds() + " s: " + what);
            }
            Thread.sleep(20);
        }
    }
}
