package com.example.inquiry;

import java.util.concurrent.ThreadPoolExecutor;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.scheduling.concurrent.ThreadPoolTaskExecutor;

/** The queue that is consumed, one that gives back after a while, and one for what cannot be answered. All are bounded. */
@Configuration(proxyBeanMethods = false)
class Queues {
    private static final int WAITING_MAX = 100_000;
    private static final int DEAD_MAX = 10_000;
    private static final int DELIVERY_LIMIT = 20;

    @Bean
    Declarables topology(WorkerProperties properties) {
        String name = properties.queue();
        // Of several workers one is active and the others stand by: so an order is queried once at a time, and the rate limit holds.
        Queue queue = QueueBuilder.durable(name).quorum().singleActiveConsumer().deliveryLimit(DELIVERY_LIMIT).maxLength(WAITING_MAX)
                .deadLetterExchange("").deadLetterRoutingKey(name + ".dead").build();
        Queue retry = QueueBuilder.durable(name + ".retry").quorum().maxLength(WAITING_MAX).ttl(Math.toIntExact(properties.retryAfter().toMillis()))
                .deadLetterExchange("").deadLetterRoutingKey(name).build();
        Queue dead = QueueBuilder.durable(name + ".dead").quorum().maxLength(DEAD_MAX).build();
        // The exchange is payment-notifier's. Until it is there, the worker tries again every few seconds.
        Binding binding = new Binding(name, Binding.DestinationType.QUEUE, properties.eventsExchange(), "payment.inquiry", null);
        return new Declarables(dead, retry, queue, binding);
    }

    /** A thread for each prefetched message, and a place to wait for each that is about to be settled: never more tasks than that. */
    @Bean
    ThreadPoolTaskExecutor queryThreads(WorkerProperties properties) {
        ThreadPoolTaskExecutor threads = new ThreadPoolTaskExecutor();
        threads.setThreadNamePrefix("query-");
        threads.setCorePoolSize(properties.prefetch());
        threads.setMaxPoolSize(properties.prefetch());
        threads.setQueueCapacity(properties.prefetch());
        threads.setRejectedExecutionHandler(new ThreadPoolExecutor.AbortPolicy());
        threads.setWaitForTasksToCompleteOnShutdown(true);
        threads.setAwaitTerminationMillis(properties.queryTimeout().plus(properties.confirmTimeout()).toMillis());
        return threads;
    }
}
