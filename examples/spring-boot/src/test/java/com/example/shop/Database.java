package com.example.shop;

import com.example.testing.Environment;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.UUID;

/** A database of the test's own in the tests' PostgreSQL, gone when it is closed. */
final class Database implements AutoCloseable {
    private final URI server = URI.create(Environment.postgresUrl());
    private final String name = "shop_" + UUID.randomUUID().toString().replace("-", "");

    Database() throws SQLException {
        execute("CREATE DATABASE " + name);
    }

    String url() {
        return url(name);
    }

    String user() {
        return server.getUserInfo().split(":")[0];
    }

    String password() {
        return server.getUserInfo().split(":")[1];
    }

    private String url(String database) {
        return "jdbc:postgresql://" + server.getHost() + ":" + server.getPort() + "/" + database;
    }

    private void execute(String sql) throws SQLException {
        try (Connection connection = DriverManager.getConnection(url("postgres"), user(), password()); Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    @Override
    public void close() throws SQLException {
        execute("DROP DATABASE " + name + " WITH (FORCE)");
    }
}
