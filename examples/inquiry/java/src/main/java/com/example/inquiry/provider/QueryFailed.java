package com.example.inquiry.provider;

/**
 * The provider gave no answer that can be trusted. The SDKs' own errors hold keys, headers and payers, so that of them only a code
 * is passed on.
 */
public class QueryFailed extends RuntimeException {
    private final boolean limited;

    private QueryFailed(String code, boolean limited) {
        super(code);
        this.limited = limited;
    }

    public static QueryFailed because(String code) {
        return new QueryFailed(code, false);
    }

    /** The provider says that there were too many queries. */
    public static QueryFailed limited(String code) {
        return new QueryFailed(code, true);
    }

    public boolean isLimited() {
        return limited;
    }
}
