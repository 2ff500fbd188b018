package e2e_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A composeFile is as much of docker-compose.yml as is checked here.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
	// NotPassed names the settings that the instances can't be given alone.
	NotPassed []string `yaml:"x-not-passed"`
	Networks  map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
}

type composeService struct {
	Image      string `yaml:"image"`
	PullPolicy string `yaml:"pull_policy"`
	Build      *struct {
		Context    string            `yaml:"context"`
		Dockerfile string            `yaml:"dockerfile"`
		Args       map[string]string `yaml:"args"`
	} `yaml:"build"`
	Restart         string             `yaml:"restart"`
	Command         []string           `yaml:"command"`
	Environment     map[string]*string `yaml:"environment"` // nil: passed on from outside
	Ports           []string           `yaml:"ports"`
	Volumes         []string           `yaml:"volumes"`
	ReadOnly        bool               `yaml:"read_only"`
	CapDrop         []string           `yaml:"cap_drop"`
	CapAdd          []string           `yaml:"cap_add"`
	SecurityOpt     []string           `yaml:"security_opt"`
	Tmpfs           []string           `yaml:"tmpfs"`
	Networks        []string           `yaml:"networks"`
	StopGracePeriod time.Duration      `yaml:"stop_grace_period"`
	DependsOn       map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	Ulimits struct {
		NoFile struct{ Soft, Hard int } `yaml:"nofile"`
	} `yaml:"ulimits"`
	Deploy struct {
		Resources struct {
			Limits struct {
				Memory string `yaml:"memory"`
			} `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"deploy"`
}

// backends are the instances of the stack.
var backends = []string{"backend-1", "backend-2", "backend-3"}

func TestComposeNamesOnlyWhatExists(t *testing.T) {
	compose := readCompose(t)
	if want := slices.Sorted(slices.Values(append([]string{"redis", "nginx", "prometheus", "grafana"}, backends...))); !slices.Equal(serviceNames(compose), want) {
		t.Errorf("services are %v, want %v", serviceNames(compose), want)
	}
	for name, service := range compose.Services {
		if len(service.Healthcheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		for dependency, how := range service.DependsOn {
			other, ok := compose.Services[dependency]
			if !ok {
				t.Errorf("%s depends on %s, which is no service", name, dependency)
			}
			if how.Condition == "service_healthy" && len(other.Healthcheck.Test) == 0 {
				t.Errorf("%s waits for %s to be healthy, which has no health check", name, dependency)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
					t.Errorf("%s mounts %s: %v", name, source, err)
				}
			} else if _, ok := compose.Volumes[source]; !ok {
				t.Errorf("%s mounts the volume %s, which is not declared", name, source)
			}
		}
	}
	for volume := range compose.Volumes {
		if !strings.Contains(readFile(t, "docker-compose.yml"), "- "+volume+":") {
			t.Errorf("the volume %s is declared and not used", volume)
		}
	}
}

// What is mounted where has to be what the program in the container is told to read.
func TestMountsAreWhereProgramsLook(t *testing.T) {
	compose := readCompose(t)
	tests := []struct{ service, file, seen string }{
		{"redis", "deploy/redis/redis.conf", "/usr/local/etc/redis/redis.conf"},
		{"redis", "deploy/redis/start.sh", compose.Services["redis"].Command[1]},
		{"nginx", "nginx.conf", "/etc/nginx/nginx.conf"},
		{"prometheus", "deploy/prometheus/prometheus.yml", argument(t, compose.Services["prometheus"].Command, "--config.file")},
		{"grafana", "grafana/dashboards/zonecast.json", *compose.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]},
		{"grafana", "grafana/dashboards", provisionedDashboards(t)},
		{"grafana", "grafana/provisioning", "/etc/grafana/provisioning"},
	}
	for _, tt := range tests {
		if got := inContainer(compose.Services[tt.service], tt.file); got != tt.seen {
			t.Errorf("%s: %s is mounted at %q and looked for at %q", tt.service, tt.file, got, tt.seen)
		}
		if _, err := os.Stat(filepath.Join(repository, tt.file)); err != nil {
			t.Error(err)
		}
	}
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	published := 0
	for name, service := range readCompose(t).Services {
		for _, port := range service.Ports {
			published++
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s: begin it with 127.0.0.1:", name, port)
			}
		}
		if slices.Contains(append(backends, "redis"), name) && len(service.Ports) > 0 {
			t.Errorf("%s publishes %v, and asks nobody who they are", name, service.Ports)
		}
	}
	if published == 0 {
		t.Error("nothing is published at all")
	}
}

func TestComposeRunsForLong(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z/]+:v?\d+\.\d+\.\d+(-[a-z]+)?(@sha256:[0-9a-f]{64})?$`)
	for name, service := range readCompose(t).Services {
		if service.Restart != "unless-stopped" {
			t.Errorf("%s: restart is %q, want unless-stopped", name, service.Restart)
		}
		if service.Deploy.Resources.Limits.Memory == "" {
			t.Errorf("%s has no limit of memory", name)
		}
		if !slices.Contains(backends, name) && !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %s names no exact version", name, service.Image)
		}
	}
}

func TestBackendsDifferOnlyInTheirName(t *testing.T) {
	compose := readCompose(t)
	for _, name := range backends {
		service := compose.Services[name]
		if got := value(service.Environment["NODE_NAME"]); got != name {
			t.Errorf("%s has the NODE_NAME %q", name, got)
		}
		drain, err := time.ParseDuration(value(service.Environment["DRAIN_TIMEOUT"]))
		if err != nil || service.StopGracePeriod <= drain {
			t.Errorf("%s: stop_grace_period %v has to be longer than DRAIN_TIMEOUT %v (%v)", name, service.StopGracePeriod, drain, err)
		}
		if limit := service.Ulimits.NoFile; limit.Soft < 20_000 || limit.Soft != limit.Hard {
			t.Errorf("%s: nofile is %+v, want the same number twice, over 20,000", name, limit)
		}
		if value(service.Environment["ALLOW_ANONYMOUS"]) != "${ALLOW_ANONYMOUS:-false}" {
			t.Errorf("%s: ALLOW_ANONYMOUS is on unless .env turns it off", name)
		}
		service.Environment["NODE_NAME"] = nil
		first := compose.Services[backends[0]]
		if fmt.Sprint(plain(service)) != fmt.Sprint(plain(first)) {
			t.Errorf("%s is not like %s:\n%v\n%v", name, backends[0], plain(service), plain(first))
		}
	}
}

func TestComposeHoldsNoSecret(t *testing.T) {
	secret := regexp.MustCompile(`SECRET|PASSWORD|TOKEN|_KEY`)
	for name, service := range readCompose(t).Services {
		for variable, given := range service.Environment {
			if secret.MatchString(variable) && given != nil {
				t.Errorf("%s: %s has the value %q in the file: leave it empty, so that it comes from outside", name, variable, *given)
			}
		}
	}
	for _, want := range []string{"AUTH_TOKEN_SECRET", "PUBLISH_KEYS", "OPERATOR_PASSWORD", "CLUSTER_SECRET", "REDIS_PASSWORD"} {
		if _, ok := readCompose(t).Services["backend-1"].Environment[want]; !ok {
			t.Errorf("%s is not passed on to the instances", want)
		}
	}
}

// Settings of the instances, in the compose file and in the image, are the program's own ones.
func TestSettingsExist(t *testing.T) {
	runtime := []string{"GOMEMLIMIT"} // of Go itself
	documented := readFile(t, "docs/configuration.md")
	used := map[string]string{}
	for _, name := range backends {
		for variable := range readCompose(t).Services[name].Environment {
			used[variable] = "docker-compose.yml"
		}
	}
	for _, line := range readDockerfile(t).final().all("ENV") {
		variable, _, _ := strings.Cut(line, "=")
		used[variable] = "deploy/Dockerfile"
	}
	for _, file := range []string{"deploy/prometheus/rules.yml", "deploy/redis/redis.conf"} {
		for _, variable := range regexp.MustCompile(`\b[A-Z]+_[A-Z_]+\b`).FindAllString(readFile(t, file), -1) {
			used[variable] = file
		}
	}
	for variable, file := range used {
		if !slices.Contains(runtime, variable) && !strings.Contains(documented, "`"+variable+"`") {
			t.Errorf("%s uses %s, which docs/configuration.md does not know", file, variable)
		}
	}
}

// Every setting of the program can be set from outside of the compose file, or is named there as one
// that can't be passed on alone.
func TestComposePassesEverySettingOn(t *testing.T) {
	compose := readCompose(t)
	known := map[string]bool{}
	for _, name := range regexp.MustCompile("(?m)^\\| (`[A-Z_`, ]+`) \\|").FindAllStringSubmatch(readFile(t, "docs/configuration.md"), -1) {
		for setting := range strings.SplitSeq(name[1], ", ") {
			known[strings.Trim(setting, "`")] = true
		}
	}
	if len(known) < 60 {
		t.Fatalf("docs/configuration.md has %d settings", len(known))
	}
	for setting := range known {
		_, passed := compose.Services["backend-1"].Environment[setting]
		if passed == slices.Contains(compose.NotPassed, setting) {
			t.Errorf("%s: passed on %v, named under x-not-passed %v: want one of them", setting, passed, !passed)
		}
	}
	for _, setting := range compose.NotPassed {
		if !known[setting] {
			t.Errorf("x-not-passed names %s, which is no setting", setting)
		}
	}
}

// All three instances are one image, built once: three builds of one tag at once fail on some
// engines. The version is the same whoever starts the stack.
func TestTheImageIsBuiltOnce(t *testing.T) {
	compose := readCompose(t)
	for name, service := range compose.Services {
		if got, want := service.Build != nil, name == "backend-1"; got != want {
			t.Errorf("%s is built: %v, want %v", name, got, want)
		}
		if slices.Contains(backends, name) && (service.Image != compose.Services["backend-1"].Image || service.PullPolicy != "never") {
			t.Errorf("%s has the image %s, pulled %q", name, service.Image, service.PullPolicy)
		}
	}
	if strings.Contains(readFile(t, "Makefile"), "VERSION) docker compose up") {
		t.Error("make up gives another VERSION than docker compose up takes")
	}
}

// One port of the instances runs through all files.
func TestPortsAgree(t *testing.T) {
	compose := readCompose(t)
	_, port, err := net.SplitHostPort(value(compose.Services["backend-1"].Environment["LISTEN"]))
	testkit.Must(t, err)
	image := readDockerfile(t).final()
	health := []string{"CMD", "/zonecast", "health", "--url", "http://127.0.0.1:" + port + "/readyz"}
	tests := []struct{ what, give, want string }{
		{"EXPOSE of the image", image.one(t, "EXPOSE"), port},
		{"LISTEN of the image", image.one(t, "ENV"), "LISTEN=0.0.0.0:" + port},
		{"health check of the image", image.one(t, "HEALTHCHECK"), `CMD ["` + strings.Join(health[1:], `", "`) + `"]`},
		{"health check of the instances", fmt.Sprint(compose.Services["backend-1"].Healthcheck.Test), fmt.Sprint(health)},
		{"ports of nginx", compose.Services["nginx"].Ports[0], ":" + directive(t, "listen")},
		{"health check of nginx", fmt.Sprint(compose.Services["nginx"].Healthcheck.Test), "http://127.0.0.1/livez"},
		{"ports of Prometheus", compose.Services["prometheus"].Ports[0], ":9090"},
		{"own target of Prometheus", readFile(t, "deploy/prometheus/prometheus.yml"), "- localhost:9090\n"},
		{"data source of Grafana", readFile(t, "grafana/provisioning/datasources/prometheus.yml"), "url: http://prometheus:9090\n"},
		{"ports of Grafana", compose.Services["grafana"].Ports[0], ":3000"},
		{"Redis of the instances", value(compose.Services["backend-1"].Environment["REDIS_URL"]), "redis://zonecast@redis:6379/"},
		{"port of Redis", readFile(t, "deploy/redis/redis.conf"), "\nport 6379\n"},
	}
	for _, tt := range tests {
		if !strings.Contains(tt.give, tt.want) {
			t.Errorf("%s: %q is not in %q", tt.what, tt.want, tt.give)
		}
	}
	for file, text := range map[string]string{
		"nginx.conf": readFile(t, "nginx.conf"), "prometheus.yml": readFile(t, "deploy/prometheus/prometheus.yml"),
	} {
		found := regexp.MustCompile(`(?m)^\s+(?:server|-) (backend-\d+):(\d+)`).FindAllStringSubmatch(text, -1)
		if len(found) == 0 || len(found)%len(backends) != 0 {
			t.Errorf("%s names instances %d times, want %d each time", file, len(found), len(backends))
		}
		for n, match := range found {
			if match[1] != backends[n%len(backends)] || match[2] != port {
				t.Errorf("%s names %s:%s, want %s:%s", file, match[1], match[2], backends[n%len(backends)], port)
			}
		}
	}
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	return readYAML[composeFile](t, "docker-compose.yml")
}

func readYAML[T any](t *testing.T, name string) (content T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readFile(t, name)), &content); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return content
}

func serviceNames(compose composeFile) []string { return slices.Sorted(maps.Keys(compose.Services)) }

// inContainer is where the service sees a file of the repository.
func inContainer(service composeService, file string) string {
	for _, volume := range service.Volumes {
		parts := strings.Split(volume, ":")
		if rest, ok := strings.CutPrefix("./"+file, parts[0]); ok {
			return parts[1] + rest
		}
	}
	return ""
}

// argument is the value of an argument like --name=value.
func argument(t *testing.T, command []string, name string) string {
	t.Helper()
	for _, given := range command {
		if v, ok := strings.CutPrefix(given, name+"="); ok {
			return v
		}
	}
	t.Fatalf("%v has no %s", command, name)
	return ""
}

// plain is the service with its variables' values in place of their addresses.
func plain(service composeService) any {
	variables := map[string]string{}
	for name, given := range service.Environment {
		if name != "NODE_NAME" {
			variables[name] = value(given)
		}
	}
	service.Environment = nil
	service.Build = nil
	return []any{service, variables}
}

func value(given *string) string {
	if given == nil {
		return ""
	}
	return *given
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	testkit.Must(t, err)
	return string(text)
}
