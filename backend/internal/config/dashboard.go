package config

import (
	"fmt"
	"net/url"
)

// Dashboard has the settings of the operators' pages.
type Dashboard struct {
	GrafanaURL string `name:"grafana-url" env:"GRAFANA_URL" placeholder:"URL" help:"Dashboard in Grafana that the page of the last hours links to with the same window, e.g. https://grafana.example/d/zonecast-overview. Operators' browsers have to reach it."`
}

func (d *Dashboard) check() error {
	if u, err := url.Parse(d.GrafanaURL); d.GrafanaURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("GRAFANA_URL is %.100q: give the address of a dashboard, https://…", d.GrafanaURL)
	}
	return nil
}
