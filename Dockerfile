# The image contains the static binary and the certificate authorities that https
# providers need, and nothing else. Time zones are in the binary.
#   docker build --build-arg VERSION=$(git describe --tags --always) -t menshen .
# Behind a network that does not reach Go's module proxy, name another one:
#   docker build --build-arg GOPROXY=https://goproxy.cn,direct -t menshen .
FROM golang:1.26-bookworm AS build
WORKDIR /src
ARG GOPROXY
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags=nomsgpack,timetzdata -ldflags "-s -w -X main.version=${VERSION}" -o /out/menshen . \
 && install -d -m 0700 /out/data && install -d -m 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tmp /tmp
# A new volume gets its owner and mode from this folder.
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/menshen /menshen
USER 65532:65532
ENV MENSHEN_ENV=production MENSHEN_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 CMD ["/menshen", "healthcheck"]
ENTRYPOINT ["/menshen"]
