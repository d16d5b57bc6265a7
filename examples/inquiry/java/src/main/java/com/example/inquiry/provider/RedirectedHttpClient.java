package com.example.inquiry.provider;

import com.wechat.pay.java.core.http.HttpClient;
import com.wechat.pay.java.core.http.HttpRequest;
import com.wechat.pay.java.core.http.HttpResponse;
import java.io.InputStream;
import java.net.URI;

/** Sends requests elsewhere: the SDK knows WeChat Pay's own hosts alone. What it signs is path and query, which stay as they are. */
record RedirectedHttpClient(HttpClient client, URI base) implements HttpClient {
    @Override
    public <T> HttpResponse<T> execute(HttpRequest request, Class<T> answer) {
        return client.execute(new HttpRequest.Builder()
                .httpMethod(request.getHttpMethod())
                .url(base.resolve(request.getUrl().getFile()).toString())
                .headers(request.getHeaders())
                .body(request.getBody())
                .build(), answer);
    }

    @Override
    public InputStream download(String url) {
        return client.download(base.resolve(URI.create(url).getRawPath()).toString());
    }
}
