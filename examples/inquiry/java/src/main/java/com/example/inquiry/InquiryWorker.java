package com.example.inquiry;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationPropertiesScan;

/** Asks the provider when a page waits and no callback has come. */
@SpringBootApplication
@ConfigurationPropertiesScan
public class InquiryWorker {
    public static void main(String[] arguments) {
        SpringApplication.run(InquiryWorker.class, arguments);
    }
}
