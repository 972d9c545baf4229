import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/**
 * HDFS with one data node and, if asked for, YARN with one node manager, until the process is killed.
 *
 * Arguments: a folder for data, a folder for core-site.xml, hdfs-site.xml and yarn-site.xml, "hdfs" or "yarn".
 * Everything listens on the loopback address. The file READY in the configuration's folder says that it runs.
 */
public class MiniHadoop {
    public static void main(String[] words) throws Exception {
        Path data = Path.of(words[0]);
        Path conf = Path.of(words[1]);
        Configuration settings = new YarnConfiguration();
        settings.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, data.resolve("hdfs").toString());
        MiniDFSCluster hdfs = new MiniDFSCluster.Builder(settings).numDataNodes(1).build();
        hdfs.waitActive();
        String root = "hdfs://127.0.0.1:" + hdfs.getNameNodePort();
        Configuration client = new Configuration(false);
        client.set("fs.defaultFS", root);
        client.set("dfs.replication", "1");
        write(client, conf.resolve("core-site.xml"));
        Configuration readers = new Configuration(false);
        readers.set("dfs.namenode.http-address", settings.get("dfs.namenode.http-address"));
        write(readers, conf.resolve("hdfs-site.xml"));
        if (words[2].equals("yarn")) {
            write(yarn(settings, data, root), conf.resolve("yarn-site.xml"));
        }
        Files.createFile(conf.resolve("READY"));
        Thread.currentThread().join(); // until the process is killed
    }

    /** Start YARN; its clients' settings. */
    private static Configuration yarn(Configuration settings, Path data, String root) {
        settings.set("fs.defaultFS", root);
        // Two small executors and an application master beside everything else on a small machine.
        settings.setInt("yarn.nodemanager.resource.memory-mb", 6144);
        settings.setInt("yarn.nodemanager.resource.cpu-vcores", 8);
        settings.setInt("yarn.scheduler.minimum-allocation-mb", 128);
        settings.setInt("yarn.scheduler.maximum-allocation-mb", 6144);
        settings.setFloat("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", 99.5f);
        // Address space is not memory: Python with Arrow maps far more than it uses.
        settings.setBoolean("yarn.nodemanager.vmem-check-enabled", false);
        settings.setBoolean("yarn.nodemanager.pmem-check-enabled", false);
        // Logs of a container stay for the test to read.
        settings.setInt("yarn.nodemanager.delete.debug-delay-sec", 3600);
        // No queues to configure.
        settings.set(
                "yarn.resourcemanager.scheduler.class",
                "org.apache.hadoop.yarn.server.resourcemanager.scheduler.fifo.FifoScheduler");
        System.setProperty("test.build.data", data.resolve("yarn").toString());
        MiniYARNCluster cluster = new MiniYARNCluster("prox", 1, 1, 1);
        cluster.init(settings);
        cluster.start();
        // Its clients have none of the classes that a mini cluster puts elsewhere.
        Configuration clients = new Configuration(false);
        for (var entry : cluster.getConfig().getPropsWithPrefix("yarn.").entrySet()) {
            clients.set("yarn." + entry.getKey(), entry.getValue());
        }
        return clients;
    }

    private static void write(Configuration settings, Path file) throws Exception {
        try (OutputStream out = new FileOutputStream(file.toFile())) {
            settings.writeXml(out);
        }
    }
}
