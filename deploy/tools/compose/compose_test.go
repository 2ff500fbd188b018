package compose

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

const repository = "../../.."

var (
	backends = []string{"backend-1", "backend-2", "backend-3"}
	// always are the services without a profile.
	always = append([]string{"redis", "nginx", "prometheus", "alertmanager", "redis-exporter", "nginx-exporter", "grafana"}, backends...)
	// byProfile are those that a profile adds.
	byProfile = map[string][]string{
		"demo": {"demo"}, "load": {"load"}, "cluster": {"redis-cluster-1", "redis-cluster-2", "redis-cluster-3"},
	}
)

// load reads the file as docker compose does, with this environment and these profiles; * is all.
func load(t *testing.T, env map[string]string, profiles ...string) *types.Project {
	t.Helper()
	return loadFiles(t, []string{"docker-compose.yml"}, env, profiles...)
}

func loadFiles(t *testing.T, names []string, env map[string]string, profiles ...string) *types.Project {
	t.Helper()
	var given, files []string
	for name, value := range env {
		given = append(given, name+"="+value)
	}
	for _, name := range names {
		files = append(files, filepath.Join(repository, name))
	}
	options, err := cli.NewProjectOptions(files, cli.WithEnv(given), cli.WithProfiles(profiles))
	must(t, err)
	project, err := options.LoadProject(context.Background())
	must(t, err)
	return project
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	must(t, err)
	return string(text)
}

// find returns the first group of the pattern, which has to be there.
func find(t *testing.T, name, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(readFile(t, name))
	if found == nil {
		t.Fatalf("%s has nothing like %s", name, pattern)
	}
	return found[1]
}

func value(s types.ServiceConfig, variable string) string {
	if given := s.Environment[variable]; given != nil {
		return *given
	}
	return ""
}

// programs builds the server and the load tester, or takes those that make built.
func programs(t *testing.T) (server, loadtest string) {
	t.Helper()
	server, loadtest = os.Getenv("ZONECAST_BIN"), os.Getenv("LOADTEST_BIN")
	dir := t.TempDir()
	for _, p := range []struct {
		path                 *string
		name, module, folder string
	}{{&server, "zonecast", "backend", "./cmd/zonecast"}, {&loadtest, "loadtest", "loadtest", "."}} {
		if *p.path != "" {
			continue
		}
		*p.path = filepath.Join(dir, p.name)
		command := exec.Command("go", "build", "-C", filepath.Join(repository, p.module), "-o", *p.path, p.folder)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return server, loadtest
}

// Each profile adds its services and nothing else, and everything that a service names is declared
// (compose-go refuses the file otherwise).
func TestProfilesAddTheirServices(t *testing.T) {
	names := func(profiles ...string) []string {
		return slices.Sorted(maps.Keys(load(t, nil, profiles...).Services))
	}
	all := slices.Sorted(slices.Values(always))
	if got := names(); !slices.Equal(got, all) {
		t.Errorf("without a profile there are %v, want %v", got, all)
	}
	for profile, more := range byProfile {
		if got, want := names(profile), slices.Sorted(slices.Values(append(slices.Clone(all), more...))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", profile, got, want)
		}
	}
}

// What is left open in the file has a default, and is a setting or named in the comment at its top.
func TestWhatIsInterpolatedHasADefault(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(repository, "docker-compose.yml")}, cli.WithInterpolation(false), cli.WithProfiles([]string{"*"}))
	must(t, err)
	model, err := options.LoadModel(context.Background())
	must(t, err)
	text := readFile(t, "docker-compose.yml")
	head, _, _ := strings.Cut(text, "\nname: ")
	variables := template.ExtractVariables(model, nil)
	for name := range variables {
		if !strings.Contains(text, "${"+name+":-") || strings.Contains(text, "${"+name+"}") {
			t.Errorf("%s has no default", name)
		}
		if !slices.Contains(settings(t), name) && !strings.Contains(head, name) && name != "VERSION" {
			t.Errorf("%s is neither a setting nor named at the top", name)
		}
	}
	for _, want := range []string{"HTTP_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT", "VERSION", "REDIS_URL"} {
		if _, ok := variables[want]; !ok {
			t.Errorf("%s has no effect", want)
		}
	}
	if got := load(t, map[string]string{"HTTP_PORT": "8081"}).Services["nginx"].Ports[0].Published; got != "8081" {
		t.Errorf("with HTTP_PORT=8081 nginx is at %s", got)
	}
}

// settings are the names of all settings, which docs/configuration.md lists.
func settings(t *testing.T) (all []string) {
	t.Helper()
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z0-9_`, ]+`) \\|").FindAllStringSubmatch(readFile(t, "docs/configuration.md"), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			all = append(all, strings.Trim(name, "`"))
		}
	}
	if len(all) < 60 {
		t.Fatalf("docs/configuration.md has %d settings", len(all))
	}
	return all
}

// Every setting that .env has reaches every instance, or the file says that it can't be passed on
// alone, or has a fixed value.
func TestEverySettingReachesTheInstances(t *testing.T) {
	fixed := []string{"LISTEN", "NODE_NAME", "DRAIN_TIMEOUT", "GOMEMLIMIT"}
	all := append(settings(t), "GOMEMLIMIT") // which is Go's
	env := map[string]string{}
	for _, name := range all {
		env[name] = "given-" + name
	}
	project := load(t, env)
	var notPassed []string
	for _, name := range project.Extensions["x-not-passed"].([]any) {
		notPassed = append(notPassed, name.(string))
	}
	for _, backend := range backends {
		service := project.Services[backend]
		for _, name := range all {
			passed, can := value(service, name) == "given-"+name, !slices.Contains(notPassed, name) && !slices.Contains(fixed, name)
			if passed != can {
				t.Errorf("%s: %s reaches it: %v, want %v: pass it on, or name it under x-not-passed", backend, name, passed, can)
			}
		}
		for name := range service.Environment {
			if !slices.Contains(all, name) {
				t.Errorf("%s: %s is no setting", backend, name)
			}
		}
	}
	for _, name := range notPassed {
		if !slices.Contains(all, name) {
			t.Errorf("x-not-passed names %s, which is no setting", name)
		}
	}
}

// secrets are what make up generates.
var secrets = map[string]string{
	"AUTH_TOKEN_SECRET": "0123456789abcdef0123456789abcdef", "PUBLISH_KEYS": "0123456789abcdef", "OPERATOR_PASSWORD": "12345678",
	"CLUSTER_SECRET": "0123456789abcdef0123456789abcdef", "REDIS_PASSWORD": "0123456789abcdef",
}

// The programs take what the file gives them: with the secrets of make up there is nothing to
// change, and without any the instances serve this machine; but not without one of those that make
// up generates.
func TestTheProgramsAcceptWhatTheyAreGiven(t *testing.T) {
	server, loadtest := programs(t)
	check := func(env map[string]string) (string, error) {
		command := exec.Command(server, "check")
		for name, given := range load(t, env).Services["backend-1"].Environment {
			if given != nil {
				command.Env = append(command.Env, name+"="+*given)
			}
		}
		out, err := command.CombinedOutput()
		return string(out), err
	}
	if out, err := check(secrets); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := check(nil); err != nil {
		t.Errorf("without secrets: %v: %s", err, out)
	}
	if out, err := check(map[string]string{"ALLOW_ANONYMOUS": "false", "PUBLISH_KEYS": secrets["PUBLISH_KEYS"]}); err == nil || !strings.Contains(out, "AUTH_TOKEN_SECRET") {
		t.Errorf("with some of the secrets that make up generates: %v: %s", err, out)
	}
	for service, help := range map[string][]string{"demo": {server, "demo", "--help"}, "load": {loadtest, "--help"}} {
		out, err := exec.Command(help[0], help[1:]...).CombinedOutput()
		must(t, err)
		s := load(t, nil, service).Services[service]
		for name := range s.Environment {
			if !regexp.MustCompile(`\$` + name + `\b`).Match(out) {
				t.Errorf("%s is given %s, which is no setting of its program", service, name)
			}
		}
		for _, argument := range s.Command {
			if strings.HasPrefix(argument, "--") && !regexp.MustCompile(argument+`[=\s]`).Match(out) {
				t.Errorf("%s has the argument %s, which is none of its program", service, argument)
			}
		}
	}
}

// What is mounted is there, and where the program in the container is told to look.
func TestMountsAreWhereProgramsLook(t *testing.T) {
	project := load(t, nil, "*")
	for name, service := range project.Services {
		for _, v := range service.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && (err != nil || !v.ReadOnly) {
				t.Errorf("%s mounts %s, read-only %v: %v", name, v.Source, v.ReadOnly, err)
			}
		}
	}
	for volume := range project.Volumes {
		used := slices.ContainsFunc(slices.Collect(maps.Values(project.Services)), func(s types.ServiceConfig) bool {
			return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Source == volume })
		})
		if !used {
			t.Errorf("the volume %s is declared and not used", volume)
		}
	}
	argument := func(service, name string) string {
		for _, given := range project.Services[service].Command {
			if v, ok := strings.CutPrefix(given, name+"="); ok {
				return v
			}
		}
		return "no " + name
	}
	for _, tt := range []struct{ service, file, seen string }{
		{"redis", "deploy/redis/redis.conf", find(t, "deploy/redis/start.sh", `\{REDIS_CONF:-(.*?)\}`)},
		{"redis", "deploy/redis/start.sh", project.Services["redis"].Command[1]},
		{"nginx", "nginx.conf", "/etc/nginx/nginx.conf"},
		{"nginx", "deploy/nginx-status.conf", strings.ReplaceAll(find(t, "nginx.conf", `include (/etc/nginx/status/\*\.conf);`), "*", "status")},
		{"prometheus", "deploy/prometheus/prometheus.yml", argument("prometheus", "--config.file")},
		{"alertmanager", "deploy/alertmanager/alertmanager.yml", argument("alertmanager", "--config.file")},
		{"grafana", "grafana/dashboards/zonecast.json", value(project.Services["grafana"], "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")},
		{"grafana", "grafana/dashboards", find(t, "grafana/provisioning/dashboards/zonecast.yml", `(?m)^\s+path: (\S+)$`)},
		{"grafana", "grafana/provisioning", "/etc/grafana/provisioning"},
	} {
		file, err := filepath.Abs(filepath.Join(repository, tt.file))
		must(t, err)
		got := ""
		for _, v := range project.Services[tt.service].Volumes {
			if rest, ok := strings.CutPrefix(file, v.Source); ok {
				got = v.Target + rest
			}
		}
		if got != tt.seen {
			t.Errorf("%s: %s is mounted at %q and looked for at %q", tt.service, tt.file, got, tt.seen)
		}
	}
	for volume, path := range map[string]string{"prometheus-data": argument("prometheus", "--storage.tsdb.path"), "alertmanager-data": argument("alertmanager", "--storage.path")} {
		service := strings.TrimSuffix(volume, "-data")
		if !slices.ContainsFunc(project.Services[service].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Source == volume && v.Target == path }) {
			t.Errorf("%s keeps its data at %s, where no volume is", service, path)
		}
	}
}

// One port of the instances runs through all files, and every path that is asked for exists.
func TestPortsAndPathsAgree(t *testing.T) {
	project := load(t, nil, "*")
	_, port, _ := strings.Cut(value(project.Services["backend-1"], "LISTEN"), ":")
	api := readFile(t, "backend/internal/apidocs/openapi.yaml")
	listens := map[string]string{"nginx": find(t, "nginx.conf", `\n        listen (\d+) `), "redis": find(t, "deploy/redis/redis.conf", `\nport (\d+)\n`),
		"redis-cluster-1": "6379", "redis-cluster-2": "6379", "redis-cluster-3": "6379", "prometheus": "9090", "alertmanager": "9093", "grafana": "3000",
		"redis-exporter": "9121", "nginx-exporter": "9113"}
	for _, backend := range backends {
		listens[backend] = port
	}
	for name, service := range project.Services {
		for _, p := range service.Ports {
			if fmt.Sprint(p.Target) != listens[name] {
				t.Errorf("%s publishes its port %d, and listens on %s", name, p.Target, listens[name])
			}
			// Those who can be reached without nginx ask nobody who they are.
			if p.HostIP != "127.0.0.1" || slices.Contains(append(backends, "redis"), name) {
				t.Errorf("%s publishes %s:%s", name, p.HostIP, p.Published)
			}
		}
		if none := slices.Contains([]string{"load", "nginx-exporter"}, name); none || service.HealthCheck == nil {
			if !none || service.HealthCheck != nil {
				t.Errorf("%s has a health check: %v, want %v", name, service.HealthCheck != nil, !none)
			}
			continue
		}
		test := strings.Join(service.HealthCheck.Test, " ")
		if service.HealthCheck.Disable {
			t.Errorf("%s: its health check is off, which ends `docker compose up --wait` with an error", name)
		}
		for _, u := range regexp.MustCompile(`http://127\.0\.0\.1(?::(\d+))?(/\S*)`).FindAllStringSubmatch(test, -1) {
			if asked := strings.TrimPrefix(u[1], ":"); asked != listens[name] && asked+listens[name] != "80" {
				t.Errorf("%s is asked at port %s, and listens on %s", name, asked, listens[name])
			}
			if (name == "nginx" || slices.Contains(backends, name)) && !strings.Contains(api, "\n  "+u[2]+":\n") {
				t.Errorf("%s is asked for %s, which is no path", name, u[2])
			}
		}
	}
	for what, tt := range map[string][2]string{
		"EXPOSE of the image":       {find(t, "deploy/Dockerfile", `\nEXPOSE (\d+)\n`), port},
		"LISTEN of the image":       {find(t, "deploy/Dockerfile", `\nENV LISTEN=\S+:(\d+)\n`), port},
		"health check of the image": {find(t, "deploy/Dockerfile", `HEALTHCHECK .*\\\n\s+CMD \["(.*?)"\]`), strings.Join(project.Services["backend-1"].HealthCheck.Test[1:], `", "`)},
		"data source of Grafana":    {find(t, "grafana/provisioning/datasources/prometheus.yml", `url: (\S+)\n`), "http://prometheus:9090"},
		"figures of nginx":          {"http://nginx:" + find(t, "deploy/nginx-status.conf", `listen (\d+);`) + find(t, "deploy/nginx-status.conf", `location = (\S+) `), strings.TrimPrefix(project.Services["nginx-exporter"].Command[0], "--nginx.scrape-uri=")},
		"Redis of the instances":    {value(project.Services["backend-1"], "REDIS_URL"), "redis://zonecast@redis:" + listens["redis"] + "/0"},
		"Redis of the exporter":     {project.Services["redis-exporter"].Command[0], "--redis.addr=redis://exporter:none@redis:" + listens["redis"]},
		"demo":                      {project.Services["demo"].Command[2], "http://nginx"},
	} {
		if tt[0] != tt[1] {
			t.Errorf("%s: %q and %q", what, tt[0], tt[1])
		}
	}
	// Whoever is named with a port listens there, and is on a network of who asks.
	for file, asks := range map[string]string{"nginx.conf": "nginx", "deploy/prometheus/prometheus.yml": "prometheus"} {
		found := regexp.MustCompile(`(?m)^\s+(?:server|-) ([a-z]+-?[a-z0-9]*):(\d+)`).FindAllStringSubmatch(readFile(t, file), -1)
		for _, m := range found {
			if m[1] == "localhost" {
				m[1] = asks
			}
			if listens[m[1]] != m[2] || !meet(project, asks, m[1]) {
				t.Errorf("%s names %s:%s: it listens on %q, and can be reached: %v", file, m[1], m[2], listens[m[1]], meet(project, asks, m[1]))
			}
		}
		for _, backend := range backends {
			if !slices.ContainsFunc(found, func(m []string) bool { return m[1] == backend }) {
				t.Errorf("%s does not name %s", file, backend)
			}
		}
	}
}

// meet reports whether two services share a network.
func meet(project *types.Project, a, b string) bool {
	for network := range project.Services[a].Networks {
		if _, ok := project.Services[b].Networks[network]; ok || a == b {
			return true
		}
	}
	return a == b
}
