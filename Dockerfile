# The programs of Naru in one image: built on Debian 12, run on its slim form as a user without rights.
#   docker build -t naru:local .
FROM debian:12.12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN ./dev build && strip build/bin/naru build/bin/naru-agent build/bin/naru-collector build/bin/naru-prepper build/bin/naru-alerting

FROM debian:12.12-slim AS naru
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates curl libabsl20220623 libatomic1 libfmt9 libgrpc++1.51 libmaxminddb0 libprometheus-cpp-core1.0 librdkafka1 \
      libre2-9 librocksdb7.8 libsimdjson14 libssl3 libsystemd0 libxxhash0 libyaml-cpp0.7 libzstd1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/naru --create-home naru
COPY --from=build /src/build/bin/naru /src/build/bin/naru-agent /src/build/bin/naru-collector /src/build/bin/naru-prepper \
     /src/build/bin/naru-alerting /usr/local/bin/
COPY config /etc/naru/examples
USER naru
VOLUME /var/lib/naru
ENTRYPOINT ["/usr/local/bin/naru"]
CMD ["--help"]
