// Property names that only this package reads: the build shortens them. None of them may also be the name of something that users,
// frames or the platform's objects have. The tests of the built package notice when one is.
const names = `
  address after ask base byFrames credential dial disconnected enter entered epoch failAll form frame hangUp inside joined
  listen lost membershipOf ownRooms pause query reached received refuse refused renew request retry roomNames sendAll settle
  skip admit Socket store target tell unlisten via wait write
`;

export const internalNames = new RegExp(`^(${names.trim().split(/\s+/).join('|')})$`);
