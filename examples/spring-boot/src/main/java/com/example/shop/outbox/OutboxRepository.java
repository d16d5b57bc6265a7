package com.example.shop.outbox;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.springframework.data.jpa.repository.JpaRepository;
import org.springframework.data.jpa.repository.Modifying;
import org.springframework.data.jpa.repository.Query;

public interface OutboxRepository extends JpaRepository<OutboxMessage, Long> {
    /** Rows that another instance is publishing are skipped, not waited for. */
    @Query(nativeQuery = true, value = """
            SELECT * FROM outbox WHERE sent_at IS NULL AND next_attempt_at <= :now
            ORDER BY id LIMIT :max FOR UPDATE SKIP LOCKED""")
    List<OutboxMessage> lockDue(Instant now, int max);

    @Modifying
    @Query(nativeQuery = true, value = """
            DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE sent_at < :before ORDER BY id LIMIT :max)""")
    int deleteSent(Instant before, int max);

    boolean existsByEventId(String eventId);

    Optional<OutboxMessage> findByEventId(String eventId);

    long countBySentAtIsNullAndRoutingKey(String routingKey);
}
