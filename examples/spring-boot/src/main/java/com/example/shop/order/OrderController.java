package com.example.shop.order;

import com.example.shop.ShopProperties;
import com.example.shop.ticket.Ticket;
import com.example.shop.ticket.TicketMinter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import jakarta.validation.Valid;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotBlank;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/**
 * What the mini-program calls. {@code X-Payer} stands for the shop's login: the gateway sets it to the openid of the session,
 * and lets nobody else set it.
 */
@RestController
@RequestMapping("/orders")
public class OrderController {
    private final OrderRepository orders;
    private final TicketMinter tickets;
    private final ShopProperties properties;

    OrderController(OrderRepository orders, TicketMinter tickets, ShopProperties properties) {
        this.orders = orders;
        this.tickets = tickets;
        this.properties = properties;
    }

    record NewOrder(@NotBlank String item, @Min(1) @Max(99) int quantity) {
    }

    @JsonNaming(SnakeCaseStrategy.class)
    record Created(String orderId, long amountFen, Ticket ticket) {
    }

    @JsonNaming(SnakeCaseStrategy.class)
    record View(String orderId, long amountFen, Order.Status status) {
    }

    /** The page opens its subscription with the ticket before it calls {@code wx.requestPayment}. */
    @PostMapping
    @ResponseStatus(HttpStatus.CREATED)
    Created create(@RequestHeader("X-Payer") String payer, @Valid @RequestBody NewOrder wanted) {
        Long price = properties.prices().get(wanted.item());
        if (price == null) {
            throw new ResponseStatusException(HttpStatus.UNPROCESSABLE_ENTITY, "no such item");
        }
        Order order = orders.save(new Order(payer, wanted.item(), wanted.quantity(), price * wanted.quantity()));
        return new Created(order.id(), order.amountFen(), tickets.mint(order));
    }

    /** For a page that comes back when its ticket has run out. */
    @PostMapping("/{id}/ticket")
    Ticket ticket(@RequestHeader("X-Payer") String payer, @PathVariable String id) {
        return tickets.mint(own(payer, id));
    }

    @GetMapping("/{id}")
    View view(@RequestHeader("X-Payer") String payer, @PathVariable String id) {
        Order order = own(payer, id);
        return new View(order.id(), order.amountFen(), order.status());
    }

    private Order own(String payer, String id) {
        // Another's order and no order get the same answer.
        return orders.findById(id).filter(order -> order.isOf(payer))
                .orElseThrow(() -> new ResponseStatusException(HttpStatus.NOT_FOUND));
    }
}
