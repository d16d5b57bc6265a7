package com.example.shop.outbox;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.springframework.stereotype.Component;
import org.springframework.transaction.annotation.Propagation;
import org.springframework.transaction.annotation.Transactional;

/** Where the rest of the shop leaves its messages. */
@Component
public class Outbox {
    private final OutboxRepository messages;
    private final ObjectMapper json;

    Outbox(OutboxRepository messages, ObjectMapper json) {
        this.messages = messages;
        this.json = json;
    }

    /**
     * Adds a message to the caller's transaction. Without one, the message could be there and its cause not, or the other way
     * round: that is an error of the caller. So is adding two messages about one order at once: the caller holds its lock.
     *
     * @return false if a message with this id was added before
     */
    @Transactional(propagation = Propagation.MANDATORY)
    public boolean add(String eventId, String routingKey, Object body) {
        if (messages.existsByEventId(eventId)) {
            return false;
        }
        try {
            messages.save(new OutboxMessage(eventId, routingKey, json.writeValueAsString(body)));
        } catch (JsonProcessingException error) {
            throw new IllegalArgumentException("not to be written as JSON: " + body.getClass(), error);
        }
        return true;
    }
}
