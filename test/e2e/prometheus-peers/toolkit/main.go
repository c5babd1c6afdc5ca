// A web server behind the exporter-toolkit of current Prometheus exporters: what they make of a web configuration file.
package main

import (
	"flag"
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/exporter-toolkit/web"
)

func main() {
	address := flag.String("web.listen-address", "127.0.0.1:9100", "")
	config := flag.String("web.config.file", "", "")
	flag.Parse()
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	no := false
	flags := &web.FlagConfig{WebListenAddresses: &[]string{*address}, WebSystemdSocket: &no, WebConfigFile: config}
	if err := web.ListenAndServe(&http.Server{}, flags, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		slog.Error("cannot serve", "err", err)
		os.Exit(1)
	}
}
