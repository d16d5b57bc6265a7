package com.example.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.UUID;

/** A vhost of the test's own in the tests' RabbitMQ, gone when it is closed. */
public final class Vhost implements AutoCloseable {
    private final URI amqp = URI.create(Environment.amqpUrl());
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final List<String> users = new ArrayList<>();
    private final String name = "test-" + UUID.randomUUID();

    public Vhost() throws Exception {
        call("PUT", "vhosts/" + name, "{}");
        String user = amqp.getUserInfo().split(":")[0];
        call("PUT", "permissions/" + name + "/" + user, "{\"configure\":\".*\",\"write\":\".*\",\"read\":\".*\"}");
    }

    /** Of the tests' user, who may do everything. */
    public String url() {
        return "amqp://" + amqp.getRawUserInfo() + "@" + amqp.getHost() + ":" + amqp.getPort() + "/" + name;
    }

    public int port() {
        return amqp.getPort();
    }

    /** The URL of a new user with these permissions and no others, by way of a port of 127.0.0.1. */
    public String userUrl(int port, String configure, String write, String read) throws Exception {
        String user = "test-" + UUID.randomUUID();
        String password = UUID.randomUUID().toString();
        call("PUT", "users/" + user, "{\"password\":\"" + password + "\",\"tags\":\"\"}");
        users.add(user);
        String permissions = "{\"configure\":\"%s\",\"write\":\"%s\",\"read\":\"%s\"}".formatted(configure, write, read);
        call("PUT", "permissions/" + name + "/" + user, permissions.replace("\\", "\\\\"));
        return "amqp://" + user + ":" + password + "@" + amqp.getHost() + ":" + port + "/" + name;
    }

    private void call(String method, String path, String body) throws Exception {
        String login = Base64.getEncoder().encodeToString(amqp.getUserInfo().getBytes(UTF_8));
        HttpRequest request = HttpRequest.newBuilder(URI.create(Environment.managementUrl() + "/api/" + path))
                .header("authorization", "Basic " + login)
                .header("content-type", "application/json")
                .method(method, HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new IllegalStateException(method + " " + path + ": " + answer.statusCode());
        }
    }

    @Override
    public void close() throws Exception {
        call("DELETE", "vhosts/" + name, "");
        for (String user : users) {
            call("DELETE", "users/" + user, "");
        }
    }
}
