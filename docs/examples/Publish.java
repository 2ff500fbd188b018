// Publishes an alert: java Publish.java (Java 11 or newer).
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;

public class Publish {
    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(3)).build();
        HttpRequest request = HttpRequest.newBuilder()
            .uri(URI.create(env.getOrDefault("ZONECAST_URL", "http://127.0.0.1:3001")
                + "/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast"))
            .timeout(Duration.ofSeconds(10))
            .header("Content-Type", "application/json")
            .header("Authorization", "Bearer " + env.getOrDefault("PUBLISH_KEY", ""))
            .header("Idempotency-Key", env.getOrDefault("EVENT_ID", "alert-7")) // makes trying again safe
            .POST(HttpRequest.BodyPublishers.ofString(
                "{\"event\":\"ALERT\",\"data\":{\"id\":\"7\",\"severity\":\"warning\",\"title\":\"Conveyor 3 stopped\"}}"))
            .build();
        for (int attempt = 0; ; attempt++) {
            long wait = 1;
            try {
                HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
                if (answer.statusCode() == 200) {
                    System.out.println(answer.body());
                    return;
                }
                boolean temporary = answer.statusCode() == 429 || answer.statusCode() >= 502 && answer.statusCode() <= 504;
                if (!temporary || attempt == 5) {
                    System.err.println(answer.body()); // says what to change
                    System.exit(1);
                }
                wait = answer.headers().firstValueAsLong("Retry-After").orElse(1);
            } catch (java.io.IOException away) {
                if (attempt == 5) throw away;
            }
            Thread.sleep(wait * 1000);
        }
    }
}
