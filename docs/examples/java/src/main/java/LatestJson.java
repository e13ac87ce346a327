import com.hazelcast.client.HazelcastClient;
import com.hazelcast.client.config.ClientConfig;
import com.hazelcast.core.HazelcastJsonValue;

/** For hazelcast.value = "json": prints the document as it is; give it to your JSON library. */
public class LatestJson {
    public static void main(String[] args) {
        var config = new ClientConfig();
        config.setClusterName(System.getenv().getOrDefault("HAZELCAST_CLUSTER", "dev"));
        config.getNetworkConfig().addAddress(System.getenv().getOrDefault("HAZELCAST_MEMBER", "127.0.0.1:5701"));
        var client = HazelcastClient.newHazelcastClient(config);
        var value = client.<String, HazelcastJsonValue>getMap("scan_bridge").get("latest_eigen_scan");
        client.shutdown();
        if (value == null) throw new IllegalStateException("no scan yet");
        System.out.println(value.getValue());
    }
}
